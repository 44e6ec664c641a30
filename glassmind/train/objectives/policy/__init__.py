"""The parts of learning from reward that are formulas: tensors and arrays in, no model.

Read ``options`` (every published change as a switch), ``advantages`` (how much better a completion
is than others), ``ratios`` (how far the policy has moved since it sampled), ``divergence`` (how far
it is from a reference) and ``terms``, which puts them together. ``objectives.grpo`` computes the
log-probabilities that they start from.
"""
