"""The rewards, one per file: ``score`` and the ``REWARD`` that ``reason.reward_registry`` lists.

Read ``answer`` (is the final answer right?), ``steps`` (how many steps are legal moves?),
``verifier`` (how likely does the verifier think the chain is right?) and ``reward_model`` (how much
would people, or whoever made its pairs, prefer it?).
"""
