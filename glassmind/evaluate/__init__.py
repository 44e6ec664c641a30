"""Verdicts → tables and reports.

Read ``ladder`` (the table of methods and their accuracy), then ``report`` (a run as a page),
``frontier`` (accuracy against the cost of thinking), and ``verifier`` (how far a verifier can be
trusted). For training runs there are ``diagnosis`` (problems of one run), ``explanation`` (the loss
of one step), ``compare`` (two or more runs) and ``scaling`` (loss against compute); ``laboratory``
compares estimators of the policy gradient with the true one. They share ``run_files`` (the files of
a run; ``schema_1`` reads those of earlier versions, ``policy_figures`` are those of learning from
reward, ``examples`` the problems shown in full), ``wording``,
``columns`` (tables that fit a terminal), ``glossary`` (what the words mean) and ``charts``.
``page_template`` fills in a page, ``flat_settings`` flattens recipes, ``graded_problems`` is every
problem of an evaluation with what was answered, ``step_marks`` says what is wrong with a step,
``dependency_attention`` which heads look where an operand comes from.

An evaluation says what it was made of (``provenance``). Stored answers are graded again by other
``graders``, of which ``autopsy`` compares two; ``bradley_terry`` turns a judge's votes into scores.
``coverage`` compares pass@k before and after training. ``abstention`` is for questions that cannot
be answered, ``text_result`` for the probability of a text, ``seen`` for questions that stand in a
training text.

``glassmind.evaluate(task, model)`` is a call, too: ``pipeline.calls.evaluate``.
"""

from glassmind.callable_package import make_callable

make_callable(__name__)
