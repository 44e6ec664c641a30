"""The rewards, one a file: ``score`` and the ``REWARD`` that ``reason.reward_registry`` lists.

Read ``answer`` (is the final answer right?), ``steps`` (how many steps are legal moves?) and
``verifier`` (what does a verifier say of the chain?).
"""
