"""Two or more training runs side by side: ``runs`` (what differs), ``table`` and ``page``."""
