"""The methods, one per file: ``solve`` and the ``METHOD`` that ``reason.registry`` lists.

Read ``direct`` and ``chain_of_thought`` (one greedy answer), ``single_sample`` (one sampled chain),
``self_consistency``, ``logprob_vote`` and ``verifier_vote`` (votes over many chains),
``verifier_best_of_n`` (the best of many), ``program_aided`` with ``program_aided_verifier_vote``
and ``written_program`` (arithmetic done by an interpreter), ``refinement``, ``step_beam`` and
``tree_search`` (searches that continue chains after a step), and ``any_of_k`` (a ceiling for all of
them).
"""
