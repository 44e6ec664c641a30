"""Smaller and faster models: packed weights, and one compiled call for all blocks.

Read ``matrix``, ``allow_list`` (which models can be packed) and ``model``. ``kernels`` is the C++
code: ``native`` compiles it, ``native_calls`` declares its functions.
"""
