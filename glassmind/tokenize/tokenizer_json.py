"""Saving a tokenizer as ``tokenizer.json``, and loading it back.

``tokenizer.json`` is the format of Hugging Face's ``tokenizers`` library, which most other programs
read. That library loads our files and encodes to identical ids:

- **BPE** is its byte-level BPE with our pre-split pattern.
- **char** is a BPE without merges and with *byte fallback*: a character that is in the vocabulary
  is a token, every other (ASCII too) becomes its bytes, spelled ``<0x41>``. Ids are equal for
  every string. Decoding differs in one case: if the bytes are not valid UTF-8, that library writes
  one U+FFFD per byte, and Glassmind one per broken character.

One difference is intended. By default that library looks for special tokens in *user text*;
Glassmind never does (``special.py``). Set ``encode_special_tokens = True`` in that library to get
the same ids there.

A file is not trusted: its size is bounded, every field is checked, and the pre-split pattern must
be Glassmind's, because an unknown regular expression can run forever. Errors name the file and the
field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassmind.files import write_json
from glassmind.serialization import JsonObject
from glassmind.tokenize.bpe.byte_alphabet import spell, unspell
from glassmind.tokenize.bpe.presplit import PATTERN
from glassmind.tokenize.bpe.tokenizer import BPETokenizer
from glassmind.tokenize.char import CharTokenizer
from glassmind.tokenize.special import N_SPECIAL, SPECIAL_TOKENS
from glassmind.tokenize.tokenizer_file import read_object, wrong

_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
_BPE_PRE_TOKENIZER = {
    "type": "Sequence",
    "pretokenizers": [
        {
            "type": "Split",
            "pattern": {"Regex": PATTERN},
            "behavior": "Isolated",
            "invert": False,
        },
        _BYTE_LEVEL,
    ],
}
_CHAR_DECODER = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
_ADDED_TOKENS = [
    {
        "id": token_id,
        "content": name,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    for token_id, name in enumerate(SPECIAL_TOKENS)
]
_BYTE_SPELLINGS = {f"<0x{byte:02X}>": byte for byte in range(256)}

SavedTokenizer = BPETokenizer | CharTokenizer
"""What can be saved: the tokenizers of this package."""


def save(tokenizer: SavedTokenizer, path: str | Path) -> None:
    """Write ``tokenizer`` to ``path`` atomically, creating missing folders."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, document_of(tokenizer))


def is_ours(document: Mapping[str, object]) -> bool:
    """Whether a parsed ``tokenizer.json`` looks like one that ``save`` wrote."""
    model, added = document.get("model"), document.get("added_tokens")
    if not isinstance(model, dict) or model.get("type") != "BPE" or not isinstance(added, list):
        return False
    parts = _parts(model.get("byte_fallback") is True)
    return added[:N_SPECIAL] == _ADDED_TOKENS and parts.items() <= document.items()


def _parts(is_char: bool) -> dict[str, object]:
    """The fields that are the same in every file of a kind."""
    return {
        "normalizer": None,
        "pre_tokenizer": None if is_char else _BPE_PRE_TOKENIZER,
        "decoder": _CHAR_DECODER if is_char else _BYTE_LEVEL,
    }


def load(path: str | Path) -> SavedTokenizer:
    """Reads a ``tokenizer.json`` written by ``save``.

    Raises ``UserError``, naming the file and the field, for anything else.
    """
    path = Path(path)
    document = read_object(path)
    model = _get(path, document, "model", dict)
    if model.get("type") != "BPE":
        raise wrong(path, "model.type", "must be 'BPE'")
    for field in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(field) is not None:
            raise wrong(path, f"model.{field}", "must be null")
    is_char = model.get("byte_fallback") is True
    for field, expected in _parts(is_char).items():
        if document.get(field) != expected:
            raise wrong(path, field, f"must be what Glassmind writes: {json.dumps(expected)}")
    _check_added_tokens(path, _get(path, document, "added_tokens", list))
    spellings = _read_vocab(path, _get(path, model, "vocab", dict, "model."))
    merges = _get(path, model, "merges", list, "model.")
    try:
        if is_char:
            if merges:
                raise wrong(path, "model.merges", "must be empty for a character tokenizer")
            if spellings[:256] != list(_BYTE_SPELLINGS):
                raise wrong(path, "model.vocab", f"must hold <0x00> to <0xFF> from {N_SPECIAL} on")
            return CharTokenizer(spellings[256:])
        return _read_bpe(path, spellings, merges)
    except ValueError as error:
        raise wrong(path, "model", f"is not a usable vocabulary: {error}") from None


def fingerprint(tokenizer: SavedTokenizer) -> str:
    """SHA-256 (hex) of everything that decides the ids, so that a checkpoint can tell whether a
    tokenizer is the one it was trained with."""
    canonical = json.dumps(document_of(tokenizer), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def document_of(tokenizer: SavedTokenizer) -> JsonObject:
    is_char = isinstance(tokenizer, CharTokenizer)
    vocab = {name: token_id for token_id, name in enumerate(SPECIAL_TOKENS)}
    merges: list[list[str]] = []
    if isinstance(tokenizer, CharTokenizer):
        for token_id, name in enumerate([*_BYTE_SPELLINGS, *tokenizer.characters], N_SPECIAL):
            vocab[name] = token_id
    else:
        for token_id in range(N_SPECIAL, tokenizer.vocab_size):
            vocab[spell(tokenizer.token_bytes(token_id))] = token_id
        merges = [
            [spell(tokenizer.token_bytes(left)), spell(tokenizer.token_bytes(right))]
            for left, right in tokenizer.merges
        ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _ADDED_TOKENS,
        "normalizer": None,
        "pre_tokenizer": None if is_char else _BPE_PRE_TOKENIZER,
        "post_processor": None,
        "decoder": _CHAR_DECODER if is_char else _BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": is_char,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }


def _get(path: Path, holder: JsonObject, field: str, kind: type, prefix: str = "") -> Any:
    value = holder.get(field)
    if not isinstance(value, kind):
        name = "an object" if kind is dict else "a list"
        raise wrong(path, prefix + field, f"must be there and be {name}")
    return value


def _check_added_tokens(path: Path, added_tokens: list[Any]) -> None:
    found = [
        (token.get("id"), token.get("content"), token.get("special"))
        if isinstance(token, dict)
        else None
        for token in added_tokens
    ]
    expected = [(token_id, name, True) for token_id, name in enumerate(SPECIAL_TOKENS)]
    if found != expected:
        raise wrong(
            path, "added_tokens", f"must be {' '.join(SPECIAL_TOKENS)} with ids from 0 and special"
        )


def _read_vocab(path: Path, vocab: JsonObject) -> list[str]:
    """The spellings in order of id, the special tokens checked and left out."""
    spellings: list[str | None] = [None] * len(vocab)
    for spelling, token_id in vocab.items():
        if type(token_id) is not int or not 0 <= token_id < len(vocab):
            raise wrong(
                path, f"model.vocab[{spelling!r}]", f"must be an id from 0 to {len(vocab) - 1}"
            )
        if spellings[token_id] is not None:
            raise wrong(path, f"model.vocab[{spelling!r}]", f"repeats the id {token_id}")
        spellings[token_id] = spelling
    ordered = [spelling for spelling in spellings if spelling is not None]
    if tuple(ordered[:N_SPECIAL]) != SPECIAL_TOKENS:
        raise wrong(path, "model.vocab", f"must begin with {' '.join(SPECIAL_TOKENS)}")
    return ordered[N_SPECIAL:]


def _read_bpe(path: Path, spellings: list[str], merges: list[Any]) -> BPETokenizer:
    """Check, besides what ``BPETokenizer`` checks, that some merge makes every longer token."""
    tokens: list[bytes] = []
    for spelling in spellings:
        try:
            tokens.append(unspell(spelling))
        except KeyError:
            raise wrong(
                path, f"model.vocab[{spelling!r}]", "has a character that stands for no byte"
            ) from None
    id_of = {spelling: token_id for token_id, spelling in enumerate(spellings, N_SPECIAL)}
    pairs: list[tuple[int, int]] = []
    unmade = {spelling for spelling in spellings if len(spelling) > 1}
    for rank, merge in enumerate(merges):
        field = f"model.merges[{rank}]"
        if not (
            isinstance(merge, list) and len(merge) == 2 and all(isinstance(p, str) for p in merge)
        ):
            raise wrong(path, field, "must be a pair of tokens")
        left, right = merge
        if left not in id_of or right not in id_of or left + right not in id_of:
            raise wrong(path, field, "must join two tokens of the vocabulary into a third")
        pairs.append((id_of[left], id_of[right]))
        unmade.discard(left + right)
    if unmade:
        raise wrong(path, f"model.vocab[{min(unmade)!r}]", "is made by no merge")
    return BPETokenizer(tokens, pairs)
