"""Keys and values in blocks.

Read ``layout`` (how they are stored), ``paged_attention`` (storing and attending over them),
``gathered_attention`` (attention where there is no compiled kernel), ``blocks`` (which sample uses
which block), ``paged_cache`` (the model's view of them).
"""
