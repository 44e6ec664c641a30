"""Rollouts: completions sampled with the weights in training, rewarded, and made into batches.

Read ``options`` (the numbers of a run), ``groups`` (completions of one question, with rewards),
``judging`` (verifiers as rewards), ``rewarding`` (from traces to groups), ``sampling`` (which
questions are drawn, and how often), ``documents`` (from groups to packed rows) and ``source``, the
batches that the trainer asks for. ``critic_source`` makes those of PPO, with ``critic_options``.
``drift`` compares the engine with the trainer; ``figures`` and ``shown`` are what is logged of a
set of samples: means, and one group in full. ``learning`` puts all of it together.
"""
