"""Text to ids and back.

A tokenizer cuts text into the units a language model sees. Read the files as a ladder, each
adding one idea to the ones before:

- ``special``: the seven tokens that mean structure instead of text
- ``base``: what every tokenizer can do
- ``utf8``: bytes that are not quite text
- ``char``: one token per character, the first rung
- ``presplit``: cutting text into words, digits and signs
- ``bpe``: byte-level byte-pair encoding, with ``merging`` (in which order) and ``pieces`` (never
  the same work twice)
- ``train_bpe``: learning its merges, as fast as it can be done in Python
- ``merge_path``: how a piece came to its tokens, for people to look at
- ``byte_alphabet`` and ``tokenizer_json``: saving and loading, readable by other programs;
  ``tokenizer_file``: with suspicion
- ``reasoning``: questions, steps and answers as ids
- ``annotation``: which step each token is in, and what it does there

Other people's tokenizers are put together from parts, in ``composed``: ``added_tokens``,
``normalize`` and ``charsmap``, ``pretokenize`` and ``patterns``, then ``character_bpe``,
``unigram`` or ``wordpiece`` (and ``train_wordpiece``), and ``decoders``. ``chat_template`` turns a
conversation into ids; ``chat_sandbox`` and ``chat_worker`` keep its program from doing more.

For much text there are ``documents`` and ``bulk`` (a corpus into one file of ids, on every core),
and ``tiktoken_encoder`` (the same ids from a faster encoder, where it is installed).
"""

from __future__ import annotations

from glassmind.tokenize.annotation import Annotation, Role, annotate
from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.bpe import BPETokenizer
from glassmind.tokenize.char import CharTokenizer, train_char
from glassmind.tokenize.reasoning import (
    ParsedCompletion,
    Style,
    encode_completion,
    encode_prompt,
    parse_completion,
)
from glassmind.tokenize.special import SPECIAL_IDS, SPECIAL_TOKENS
from glassmind.tokenize.tokenizer_json import SavedTokenizer, fingerprint, load, save
from glassmind.tokenize.train_bpe import train_bpe

__all__ = [
    "SPECIAL_IDS",
    "SPECIAL_TOKENS",
    "Annotation",
    "BPETokenizer",
    "CharTokenizer",
    "ParsedCompletion",
    "Role",
    "SavedTokenizer",
    "Style",
    "Tokenizer",
    "annotate",
    "encode_completion",
    "encode_prompt",
    "fingerprint",
    "load",
    "parse_completion",
    "save",
    "train_bpe",
    "train_char",
]
