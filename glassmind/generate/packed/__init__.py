"""A model made small and fast: its weights packed, and one compiled call for all of its blocks.

Read ``matrix`` and ``model``. ``kernels`` is C++ for what Python is too slow for: ``native``
compiles it, ``native_calls`` says what is in it.
"""
