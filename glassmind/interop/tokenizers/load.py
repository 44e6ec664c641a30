"""Loads a tokenizer of any supported format."""

from __future__ import annotations

import re
from pathlib import Path

from glassmind import tokenize
from glassmind.errors import UserError
from glassmind.interop.gguf_header import MAGIC, read_header
from glassmind.interop.tokenizers.checked import read_json
from glassmind.interop.tokenizers.gguf_tokenizer import read_gguf_tokenizer
from glassmind.interop.tokenizers.gpt2_files import read_gpt2_files
from glassmind.interop.tokenizers.sentencepiece_model import read_sentencepiece_model
from glassmind.interop.tokenizers.tiktoken_ranks import read_tiktoken_ranks
from glassmind.interop.tokenizers.tokenizer_json import tokenizer_of
from glassmind.tokenize import SavedTokenizer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.tokenizer_json import is_ours

_GPT2_PAIRS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
_RANKS = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")


def load_tokenizer(path: str | Path) -> ComposedTokenizer | SavedTokenizer:
    """The tokenizer at ``path``, in any of these formats.

    A file: ``tokenizer.json`` (ours or Hugging Face's), SentencePiece's ``tokenizer.model``,
    tiktoken's rank files, either of GPT-2's two files, a GGUF. A folder that holds one of them (if
    several, the first in this order). Raises ``UserError`` for anything else.
    """
    path = Path(path)
    if not path.is_dir():
        return _load_file(path)
    names = ["tokenizer.json", "tokenizer.model", *(b for _, b in _GPT2_PAIRS)]
    candidates = [path / name for name in names]
    candidates += sorted(path.glob("*.tiktoken")) + sorted(path.glob("*.gguf"))
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise UserError(
            f"the folder {path} holds no tokenizer: one of {', '.join(names)}, *.tiktoken or "
            "*.gguf must be there"
        )
    return _load_file(found)


def _load_file(path: Path) -> ComposedTokenizer | SavedTokenizer:
    for pair in _GPT2_PAIRS:
        if path.name in pair:
            return read_gpt2_files(path.with_name(pair[0]), path.with_name(pair[1]))
    if path.suffix == ".json":
        document = read_json(path)
        return tokenize.load(path) if is_ours(document.values) else tokenizer_of(document)
    start = _first_bytes(path)
    if start.startswith(MAGIC):
        return read_gguf_tokenizer(read_header(path).metadata, path)
    if path.suffix == ".tiktoken":
        return read_tiktoken_ranks(path)
    if _RANKS.match(start):  # Meta published Llama 3's under SentencePiece's name
        return read_tiktoken_ranks(path, "llama3")
    return read_sentencepiece_model(path)


def _first_bytes(path: Path) -> bytes:
    if not path.is_file():  # reading a pipe would wait for data
        raise UserError(f"there is no tokenizer file {path}")
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise UserError(f"cannot read the tokenizer file {path}: {error.strerror}") from None
