"""More thinking → better answers: votes, verifiers, methods.

Read ``vote`` (many samples, one answer), ``stopping`` and ``adaptive`` (when a vote is decided),
``token_budget`` (a limit on tokens), ``process_choice`` (steps made one number), ``budget_forcing``
(how long a model thinks) and ``verify`` (scoring steps), ``confidence`` (how likely an answer is
right), ``check`` (the first wrong step of a written solution); then ``method`` (the record of a
method, and ``needs``), ``methods`` (one file each), ``registry`` (the list of them) and ``session``
(the chains that they share). Searches write their own: ``tree`` (a trace that grows), ``search``
(trees of all problems in step) and ``verify_tree`` (scoring nodes of a tree). ``reward``,
``rewards`` and ``reward_registry`` do the
same for rewards. The models themselves are in ``glassmind.llm``.
"""
