"""What is minimised: one file per objective, its docstring the equation of its paper.

Read ``objective`` (what they have in common), then ``pretrain``, ``sft`` (with ``dependencies``,
which guides attention), ``verify``, ``classify``, ``grpo`` (its formulas are in ``policy``).
``gae`` computes advantages from a critic's values. ``chunked_loss`` saves memory.
"""
