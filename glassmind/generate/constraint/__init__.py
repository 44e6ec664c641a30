"""Constrained output: which tokens may come next.

``constraint`` is the interface to the engine, ``vocabulary`` the bytes of each token,
``token_trie`` a walk over all tokens at once, ``grammar`` the automata.
"""
