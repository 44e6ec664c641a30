"""The interface of every tokenizer.

The rest of the package uses only ``Tokenizer``. ``TokenTable`` implements the half that all
tokenizers share: a vocabulary is a table from id to bytes, and decoding looks the bytes up and
joins them. Tokenizers differ only in how they turn text into ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from glassmind.tokenize.display import show_bytes
from glassmind.tokenize.special import N_SPECIAL, SPECIAL_IDS, SPECIAL_TOKENS


class Tokenizer(Protocol):
    """Text to ids and back. ``decode_bytes(encode(data)) == data`` for every byte string."""

    @property
    def vocab_size(self) -> int:
        """Number of ids; they run from 0 to ``vocab_size - 1``."""
        ...

    @property
    def special(self) -> Mapping[str, int]:
        """Spelling of each special token to its id."""
        ...

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special token."""
        ...

    def encode_batch(self, texts: Iterable[str | bytes]) -> list[list[int]]:
        """``encode`` of each text."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; special tokens are dropped, invalid UTF-8 becomes U+FFFD."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Bytes of ``ids``; special tokens stand for none."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes one token stands for; ``b""`` for a special token."""
        ...

    def token_text(self, token_id: int) -> str:
        """One token for display: never empty, no control characters."""
        ...

    def __hash__(self) -> int:
        """By identity: tables derived from a tokenizer are cached under it."""
        ...


class TokenTable:
    """The half of a tokenizer that turns ids into bytes.

    ``tokens`` are the byte strings of the ids after the special ones, in order of id. They must
    be distinct and not empty (``ValueError``).
    """

    special: Mapping[str, int] = SPECIAL_IDS

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._token_bytes: list[bytes] = [b""] * N_SPECIAL + list(tokens)
        self._id_of: dict[bytes, int] = {
            token: token_id for token_id, token in enumerate(tokens, N_SPECIAL)
        }
        if len(self._id_of) != len(tokens) or b"" in self._id_of:
            raise ValueError("the tokens of a vocabulary must be distinct and not empty")

    @property
    def vocab_size(self) -> int:
        """Number of ids; they run from 0 to ``vocab_size - 1``."""
        return len(self._token_bytes)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Bytes of ``ids``; special tokens stand for none.

        Raises ``ValueError`` for an id outside the vocabulary.
        """
        ids = list(ids)
        if ids and not 0 <= min(ids) <= max(ids) < len(self._token_bytes):
            raise ValueError(f"token ids must lie between 0 and {len(self._token_bytes) - 1}")
        return b"".join(map(self._token_bytes.__getitem__, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; special tokens are dropped, invalid UTF-8 becomes U+FFFD.

        Raises ``ValueError`` for an id outside the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes one token stands for; ``b""`` for a special token."""
        return self._token_bytes[token_id]

    def token_text(self, token_id: int) -> str:
        """One token for display: ``<|step|>``, or its bytes by ``display.show_bytes``."""
        if token_id < N_SPECIAL:
            return SPECIAL_TOKENS[token_id]
        return show_bytes(self._token_bytes[token_id])
