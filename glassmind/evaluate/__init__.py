"""Verdicts → tables and reports.

Read ``ladder`` (the table of methods and their accuracy), then ``report`` (a run as a page), and
``verifier`` (how far a verifier can be trusted). For training runs there are ``diagnosis``
(problems of one run), ``compare`` (two or more runs) and ``scaling`` (loss against compute). They
share ``run_files`` (the files of a run; ``schema_1`` reads those of earlier versions, ``examples``
the problems shown in full), ``wording``, ``columns`` (tables that fit a terminal), ``glossary``
(what the words mean) and ``charts``. ``flat_settings`` flattens recipes, ``graded_problems`` is
every problem of an evaluation with what was answered, ``step_marks`` says what is wrong with a
step.

``glassmind.evaluate(task, model)`` is a call, too: ``pipeline.calls.evaluate``.
"""

from glassmind.callable_package import make_callable

make_callable(__name__)
