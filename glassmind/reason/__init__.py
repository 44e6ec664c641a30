"""More thinking → better answers: votes, verifiers, methods.

Read ``vote`` (many samples, one answer) and ``verify`` (scoring steps), ``confidence`` (how likely
an answer is right), ``check`` (the first wrong step of a written solution); then ``method`` (the
record of a method, and ``needs``), ``token_budget`` (a limit on what it spends), ``methods`` (one
file each), ``registry`` (the list of them) and ``session`` (the chains that they share;
``reordering`` changes their order). Several methods share ``stopping`` and ``adaptive`` (when a
vote is decided), ``process_choice`` (steps made one number) and ``budget_forcing`` (how long a
model thinks). Searches write their own chains: ``tree`` (a trace that grows), ``search`` (trees of
all problems in step) and ``verify_tree`` (scoring nodes of a tree). ``reward``, ``rewards`` and
``reward_registry`` do the same for rewards. The models themselves are in ``glassmind.llm``.
"""
