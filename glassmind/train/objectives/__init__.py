"""What is minimised: one file per objective, its docstring the equation of its paper.

Read ``objective`` (what they have in common), then ``pretrain``, ``sft`` (with ``dependencies``,
which guides attention), ``verify``, ``classify``, ``grpo`` (its formulas are in ``policy``),
``ppo`` (with ``gae``, its advantages), ``distill`` (with ``divergences``, which it minimises),
``preference`` with its ``preference_losses``, and ``reward_model``. ``chunked_loss`` and
``token_logprobs`` save memory.
"""
