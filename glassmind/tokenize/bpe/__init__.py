"""Byte-level byte-pair encoding.

Read ``presplit`` (text into words, digits and signs), ``tokenizer``, ``merging`` (in which order
pairs merge) and ``pieces`` (never the same work twice), ``train`` (learning the merges, as fast as
it can be done in Python), ``merge_path`` (how a piece came to its tokens, for people to look at),
``byte_alphabet`` (bytes as printable characters).
"""
