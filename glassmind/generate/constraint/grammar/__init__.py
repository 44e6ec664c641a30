"""Languages as machines over bytes: what an output may be, from a pattern or a schema.

    pattern or schema ─parse→ tree ─lay→ network (NFA) ─determinize→ automaton (DFA)

Read in this order: ``character_sets`` (characters as UTF-8), ``network`` (the nondeterministic
machine, with a bound), ``tree`` (what a language is made of), ``regex_parser``, ``json_values``,
``json_schema`` with its ``schema_fields`` (the ways to a tree), ``automaton`` (the machine that is
run). Nothing here knows of tokens: that is ``token_trie.py``.
"""
