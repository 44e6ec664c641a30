"""Two or more training runs side by side: ``runs`` (what differs), ``table`` and ``page``; and two
models' answers to the same problems: ``answers``.
"""
