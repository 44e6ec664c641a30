"""Speculative decoding: ``prompt_lookup`` and ``draft_model`` guess, ``acceptance`` decides."""
