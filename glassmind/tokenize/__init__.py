"""Text to ids and back.

A tokenizer cuts text into the units a language model sees. Read the files as a ladder, each
adding one idea to the ones before:

- ``special``: the seven tokens that mean structure instead of text
- ``base``: what every tokenizer can do
- ``utf8``: bytes that are not quite text
- ``char``: one token per character, the first rung
- ``bpe``: byte-level byte-pair encoding, and how its merges are learned
- ``display``: a token's bytes as a person sees them
- ``tokenizer_json``: saving and loading, readable by other programs; ``tokenizer_file``: how an
  untrusted file is read
- ``reasoning``: questions, steps and answers as ids; ``spans``: the same as nodes of a trace;
  ``token_kinds``: what each token looks like, from which a model tells its segment and role

``composed`` builds the tokenizers of published models from parts. ``chat_template`` turns a
conversation into ids. ``corpus`` encodes large amounts of text.
"""

from __future__ import annotations

from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.bpe.tokenizer import BPETokenizer
from glassmind.tokenize.bpe.train import train_bpe
from glassmind.tokenize.char import CharTokenizer, train_char
from glassmind.tokenize.reasoning import (
    ParsedCompletion,
    Style,
    encode_completion,
    encode_prompt,
    parse_completion,
)
from glassmind.tokenize.spans import chain_nodes
from glassmind.tokenize.special import SPECIAL_IDS, SPECIAL_TOKENS
from glassmind.tokenize.tokenizer_json import SavedTokenizer, fingerprint, load, save

__all__ = [
    "SPECIAL_IDS",
    "SPECIAL_TOKENS",
    "BPETokenizer",
    "CharTokenizer",
    "ParsedCompletion",
    "SavedTokenizer",
    "Style",
    "Tokenizer",
    "chain_nodes",
    "encode_completion",
    "encode_prompt",
    "fingerprint",
    "load",
    "parse_completion",
    "save",
    "train_bpe",
    "train_char",
]
