"""The methods, one per file: ``solve`` and the ``METHOD`` that ``reason.registry`` lists.

Read ``direct`` and ``chain_of_thought`` (one greedy answer), ``single_sample`` (one sampled chain),
``self_consistency``, ``logprob_vote`` and ``verifier_vote`` (votes over many chains),
``verifier_best_of_n`` (the best of many) and ``any_of_k`` (a ceiling for all of them).
"""
