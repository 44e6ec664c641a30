"""The rewards, one per file: ``score`` and the ``REWARD`` that ``reason.reward_registry`` lists.

Read ``answer`` (is the final answer right?), ``steps`` (how many steps are legal moves?) and
``verifier`` (how likely does the verifier think the chain is right?).
"""
