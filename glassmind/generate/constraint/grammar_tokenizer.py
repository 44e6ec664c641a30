"""A vocabulary in the form in which llguidance walks it.

llguidance (Moskal et al., https://github.com/guidance-ai/llguidance) keeps all tokens in a tree of
their beginnings and walks it with a parser to find the tokens that may come next. It needs the
bytes of every token, the tokens that end a text, and a function that turns text into ids.

The function is for *forced* text. Where a grammar leaves one way to go on (after ``{"`` only
``name":``, say), these tokens need not be sampled. Which tokens, though? ``name`` may be one token
or four, and a model that is shown the four has never seen its world like this. So the text is
encoded as the tokenizer would, and its last tokens are left out where what follows could have
joined them. Tokenizers that do not give back what they were given (WordPiece, lower-casing) force
nothing.
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

SPECIAL = b"\xff"  # llguidance takes tokens that begin so for special ones

# What is put before a text whose tokens are wanted as they are *inside* a text: tokenizers of the
# SentencePiece kind put a space before what they take for a beginning.
_BEFORE = ("", "\x02", "\n")
_PROBES = ('{"name": ["a b", 12.5]}', " The answer", "x\ny", "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class GrammarTokenizer:
    """``tokens`` for llguidance, made of a ``Vocabulary``'s fields, and what a constraint asks of
    them besides. Making one takes half a second for 50,000 tokens.

    ``forces`` says whether forced text can be turned into tokens. ``writable_W`` has a bit for each
    id, 32 to an int32 as in llguidance's masks: those that stand for text, and those that end it.

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
        # A token that begins as special ones do would be taken for one; no text has that byte.
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
    """The ids of a text inside a text; ``None`` where ``encode`` cannot be trusted with it.

    It never raises: it is called from within llguidance.
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
        if ids is None:  # normalised to something else: byte by byte, as far as there are bytes
            bytes_ = (text.encode()[i : i + 1] for i in range(len(text.encode())))
            ids = [byte_ids[byte] for byte in bytes_ if byte in byte_ids]
        return ids

    return inner_encode
