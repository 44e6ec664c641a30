"""Keys and values in blocks.

Read ``paged_attention`` (attention over keys and values in blocks), ``blocks`` (whose they are),
``paged_cache`` (the model's view of them).
"""
