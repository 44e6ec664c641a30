"""Encoding large amounts of text.

``documents`` (reading documents from files), ``bulk`` (a corpus to one file of ids, on all cores),
``tiktoken_encoder`` (the same ids from a faster encoder, if installed).
"""
