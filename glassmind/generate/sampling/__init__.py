"""Logits to a token.

Read ``penalties`` (what came before), ``filters`` (top-k, top-p, min-p), ``random_numbers``
(randomness that depends on what it is for), ``sampler`` (the whole),
``plain_rows`` (the same for most rows in compiled code).
"""
