"""The vocabulary as a tokenizer for llguidance.

llguidance (https://github.com/guidance-ai/llguidance) keeps all tokens in a prefix tree and walks
it with a parser to find the tokens that may come next. It needs the bytes of every token, the
tokens that end a text, and a function that encodes text.

The function is for *forced* text. If a grammar allows one continuation only (after ``{"`` only
``name":``, say), its tokens need not be sampled. But ``name`` may be one token or four, and a model
predicts poorly after a tokenization it has never seen. So the text is encoded by the model's own
tokenizer, and llguidance leaves out trailing tokens that could merge with what follows. Tokenizers
that do not reproduce their input (WordPiece, lower-casing) force nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

Encode = Callable[[str], Sequence[int]]

SPECIAL = b"\xff"  # llguidance treats tokens that begin with this byte as special

# SentencePiece tokenizers put a space before the beginning of a text. To get the tokens of a text
# as they are *inside* a text, something that merges with nothing is encoded before it.
_BEFORE = ("", "\x02", "\n")
_PROBES = ('{"name": ["a b", 12.5]}', " The answer", "x\ny", "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class GrammarTokenizer:
    """``tokens`` is the tokenizer, made from the fields of a ``Vocabulary``; for 50,000 tokens this
    takes half a second.

    ``forces`` says whether ``encode`` can be used for forced text. ``writable_W`` has a bit per id,
    32 to an int32 as in llguidance's masks: set for tokens that stand for text and for end tokens.

    Raises ``UserError`` where llguidance is not installed, or no token ends a text.
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes | None],
        end_ids: Collection[int],
        encode: Encode | None = None,
    ) -> None:
        try:
            from llguidance import LLTokenizer
        except ImportError:
            raise UserError(
                "constrained output needs the package llguidance: "
                "pip install 'glassmind[constrain]'"
            ) from None
        if not end_ids:
            raise UserError(
                "a constraint needs to know how a text ends, and the vocabulary names no end token"
            )
        ends = sorted(end_ids)
        inner = None if encode is None else _inner_encode(token_bytes, encode)
        self.forces = inner is not None
        table = _Table(token_bytes, ends, inner or (lambda text: []))
        self.tokens: LLTokenizer = LLTokenizer(cast(Any, table), eos_token=ends)
        writable = np.zeros((len(token_bytes) + 31) // 32 * 32, np.uint8)
        writable[[i for i, data in enumerate(token_bytes) if data]] = 1
        writable[ends] = 1
        self.writable_W: NDArray[np.int32] = np.packbits(writable, bitorder="little").view(np.int32)


class _Table:
    """What ``LLTokenizer`` reads; the names are llguidance's."""

    is_tokenizer_wrapper = True

    def __init__(
        self, token_bytes: Sequence[bytes | None], ends: Sequence[int], encode: Encode
    ) -> None:
        # No UTF-8 text contains this byte, and llguidance would treat such a token as special.
        self.tokens = [
            data if data and not data.startswith(SPECIAL) else b"" for data in token_bytes
        ]
        for token_id in ends:
            self.tokens[token_id] = SPECIAL + b"<end %d>" % token_id
        self.eos_token_id = ends[0]
        self.bos_token_id = None
        self.special_token_ids: list[int] = []
        self._encode = encode

    def __call__(self, text: str) -> Sequence[int]:
        return self._encode(text)


def _inner_encode(token_bytes: Sequence[bytes | None], encode: Encode) -> Encode | None:
    """A function that encodes a text as it is inside a longer one; ``None`` if ``encode`` does not
    reproduce its input. It never raises, because llguidance calls it.
    """
    byte_ids = {data: i for i, data in enumerate(token_bytes) if data and len(data) == 1}

    def as_trained(text: str) -> list[int] | None:
        for before in _BEFORE:
            ids = list(encode(before + text))[len(encode(before)) if before else 0 :]
            if b"".join(token_bytes[i] or b"" for i in ids) == text.encode():
                return ids
        return None

    if any(as_trained(probe) is None for probe in _PROBES):
        return None

    def inner_encode(text: str) -> list[int]:
        ids = as_trained(text)
        if ids is None:  # normalised to another text: byte by byte, as far as there are such tokens
            bytes_ = (text.encode()[i : i + 1] for i in range(len(text.encode())))
            ids = [byte_ids[byte] for byte in bytes_ if byte in byte_ids]
        return ids

    return inner_encode
