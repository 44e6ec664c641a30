"""A run's folder as one page.

Read ``page`` first. Its plots: ``plots`` (accuracy), ``heat_map`` (attention), ``loss_curves``.
``examples_section`` shows problems with all their chains, ``trace_tree`` traces that branch, and
``recipe_section`` the settings that were changed, and ``training_section`` with its
``training_panels`` what happened inside the layers. For learning from reward there are
``policy_panels`` and ``watched_section``, the answers to the same problems over time.
"""
