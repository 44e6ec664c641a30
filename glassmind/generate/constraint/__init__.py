"""Constrained output: which tokens may come next.

Read in this order: ``grammar_tokenizer`` (tokens as llguidance walks them), ``vocabulary`` (the
bytes of every token), ``json_schema`` (checks a schema and rewrites it so that llguidance enforces
it exactly), ``one_of`` (unions), ``constraint`` (what an output has to be), ``trial`` (compiles a
stranger's grammar in a process that can be killed; ``trial_program`` runs there), ``matcher``
(follows an output).
"""
