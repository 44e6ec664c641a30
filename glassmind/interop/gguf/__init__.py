"""GGUF, the format of llama.cpp: read with unpacked weights, and written.

Read in this order: ``../gguf_header.py`` (the part before the weights), ``architectures`` (an entry
for each kind of model), ``facts`` and ``sizes`` (conversion between the file's metadata, its
*facts*, and a ``ModelConfig``), ``stretched_rope`` (RoPE for long contexts), ``slots`` (which
tensor is which parameter), ``packed`` (unpacking numbers), ``load`` and ``save``.
"""

from glassmind.interop.gguf.architectures import ARCHITECTURES
from glassmind.interop.gguf.load import load_gguf
from glassmind.interop.gguf.save import Kind, save_gguf

__all__ = ["ARCHITECTURES", "Kind", "load_gguf", "save_gguf"]
