"""Problems from files: a person's own, published ones, and changed ones.

Read ``files`` (any file of problems, with ``column_mapping``, which says where they stand).
``gsm8k``, ``competition_math`` and ``word_problem_sets`` load published ones, and ``sets`` names
these. Only for evaluation are ``perturbations`` (the same problem, changed), ``countdown``,
``unanswerable`` and ``multiple_choice``; ``written_solutions`` are solutions to be checked.
``joined`` makes one problem of two, for training, and ``curriculum`` decides which problems a run
that samples draws next.
"""
