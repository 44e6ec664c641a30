"""Constrained output: which tokens may come next.

Read in this order: ``grammar_tokenizer`` (tokens as llguidance walks them), ``vocabulary`` (the
bytes of every token), ``json_schema`` (a schema checked, and put into the form in which llguidance
keeps it exactly), ``one_of`` (unions), ``constraint`` (what an output has to be), ``trial`` (a
stranger's grammar compiled in a process that can be killed; ``trial_program`` is what runs there),
``matcher`` (one output followed).
"""
