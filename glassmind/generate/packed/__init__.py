"""A model made small and fast: its weights packed, and one compiled call for all of its blocks.

Read ``matrix``, ``allow_list`` (which models can be packed) and ``model``. ``kernels`` is C++
for what Python is too slow for: ``native`` compiles it, ``native_calls`` declares it.
"""
