"""Byte-level byte-pair encoding.

Read ``presplit`` (text into words, digits and punctuation), ``tokenizer``, ``merging`` (the order
in which pairs merge) and ``pieces`` (caching the ids of a piece), ``train`` (learning the merges),
``merge_path`` (the merges of one piece, for display) and ``byte_alphabet`` (bytes as printable
characters).
"""
