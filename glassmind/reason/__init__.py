"""More thinking → better answers: votes, verifiers, methods.

Read ``vote`` (many samples, one answer), ``stopping`` and ``adaptive`` (when a vote is decided),
``token_budget`` (a limit on tokens), ``process_choice`` (steps made one number), ``budget_forcing``
(how long a model thinks); ``verifier_documents`` (what a verifier reads and learns from),
``verify`` (its scores) and ``weighing`` (its belief beside exact facts), ``confidence`` (how likely
an answer is right), ``check`` (the first wrong step of a written solution); then ``method`` (the
record of a method, and ``needs``), ``methods`` (one file each), ``registry`` (the list of them),
``session`` (the chains that they share) and ``reordering`` (the same chains in another order).
Searches write their own chains: ``tree`` (a trace that grows), ``search`` (trees of all problems in
step) and ``verify_tree`` (scoring nodes of a tree). ``reward``, ``rewards`` and ``reward_registry``
do for rewards what the others do for methods; ``reward_sum`` adds several up, ``reward_scoring``
deals with those that fail, ``reward_model`` asks a model, ``reward_holes`` are rewards that can be
fooled, for study, and ``kept_chains`` chooses right chains to learn from. The models themselves are
in ``glassmind.llm``.
"""
