"""Much text at once.

``documents`` (where one begins and ends), ``bulk`` (a corpus into one file of ids, on every core),
``tiktoken_encoder`` (the same ids from a faster encoder, where it is installed).
"""
