"""More thinking → better answers: votes, verifiers, methods.

Read ``vote`` (many samples, one answer) and ``verify`` (scoring steps), then ``confidence`` (how
likely an answer is right), ``method`` (what a way of answering is, and its ``needs``), ``methods``
(each of them), ``registry`` (all of them) and ``session`` (the chains that they share). ``reward``,
``rewards`` and ``reward_registry`` are the same for numbers to learn from. The models themselves
are in ``glassmind.llm``.
"""
