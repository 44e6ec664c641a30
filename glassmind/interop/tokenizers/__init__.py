"""Reads tokenizers of other projects into a ``ComposedTokenizer``, and writes their formats.

``load_tokenizer`` detects the format of a folder or file. The modules, in the order in which they
are best read:

- ``checked``: reading untrusted JSON
- ``config_files``: what lies next to a vocabulary: facts, chat templates, added tokens
- ``gpt2_files``: ``encoder.json`` and ``vocab.bpe``, the simplest
- ``tiktoken_ranks``: ``*.tiktoken``, tokens in the order they were learned
- ``components``, ``tokenizer_json``: Hugging Face's format, which describes everything
- ``write_tokenizer_json``: writes that format
- ``protobuf``, ``sentencepiece_model``: ``tokenizer.model``
- ``gguf_tokenizer``: reads and writes the tokenizer inside a GGUF
- ``load``: detects the format
"""

from __future__ import annotations

from glassmind.interop.tokenizers.config_files import read_facts
from glassmind.interop.tokenizers.gguf_tokenizer import read_gguf_tokenizer, to_gguf_metadata
from glassmind.interop.tokenizers.gpt2_files import read_gpt2_files
from glassmind.interop.tokenizers.load import load_tokenizer
from glassmind.interop.tokenizers.sentencepiece_model import read_sentencepiece_model
from glassmind.interop.tokenizers.tiktoken_ranks import read_tiktoken_ranks
from glassmind.interop.tokenizers.tokenizer_json import composed, read_tokenizer_json
from glassmind.interop.tokenizers.write_tokenizer_json import write_tokenizer_json

__all__ = [
    "composed",
    "load_tokenizer",
    "read_facts",
    "read_gguf_tokenizer",
    "read_gpt2_files",
    "read_sentencepiece_model",
    "read_tiktoken_ranks",
    "read_tokenizer_json",
    "to_gguf_metadata",
    "write_tokenizer_json",
]
