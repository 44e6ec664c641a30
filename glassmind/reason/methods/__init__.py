"""The methods, one per file: ``solve`` and the ``METHOD`` that ``reason.registry`` lists.

Read ``direct`` and ``chain_of_thought`` (one greedy answer), ``calculator`` (the same, with exact
results), ``longer_thinking`` and ``capped_thinking`` (longer or shorter than the model would),
``single_sample`` (one sampled chain), ``self_consistency``, ``logprob_vote``, ``verifier_vote`` and
``score_vote`` (votes over many chains), ``checked_vote`` and ``checked_verifier_vote`` (votes of
chains whose equations hold), ``adaptive_vote`` and ``shape_vote`` (votes that stop when they are
decided), ``verifier_best_of_n``, ``process_product``, ``process_min`` and ``process_last`` (the
best of many), ``program_aided`` with ``program_aided_verifier_vote`` and ``written_program``
(arithmetic done by an interpreter), ``refinement``, ``step_beam`` and ``tree_search`` (searches
that continue chains after a step), and ``any_of_k`` (a ceiling for all of them).
"""
