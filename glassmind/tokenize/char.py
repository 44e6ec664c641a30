"""The character tokenizer: the first rung.

The simplest vocabulary that works has one token per character. Training only collects the list of
characters that occur. Sequences get long (a 150-character problem is 150 tokens instead of 50),
which byte-pair encoding (``bpe``) improves on.

A character that was not in the training text must be encoded too. Many simple tokenizers emit an
"unknown" token and lose the text. Here every byte is a token as well (ids 7 to 262, in order), and
a character outside the list is written as its UTF-8 bytes, so every byte string round-trips. ASCII
characters *are* their bytes and need no second token; the list holds the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from glassmind.tokenize import utf8
from glassmind.tokenize.base import TokenTable
from glassmind.tokenize.special import N_SPECIAL

_ASCII_TO_ID = bytes(byte + N_SPECIAL if byte < 0x80 else 0 for byte in range(256))


class CharTokenizer(TokenTable):
    """One token per character of ``characters``, UTF-8 bytes for all others.

    ``characters`` are the non-ASCII characters of the vocabulary in order of id (ASCII is always
    there). Raises ``ValueError`` for one that is ASCII, repeated, a surrogate, or not a single
    character.
    """

    def __init__(self, characters: Iterable[str] = ()) -> None:
        self.characters: tuple[str, ...] = tuple(characters)
        for character in self.characters:
            if len(character) != 1 or ord(character) < 0x80 or "\ud800" <= character <= "\udfff":
                raise ValueError(f"{character!r} is not one character beyond ASCII")
        super().__init__(
            [bytes([byte]) for byte in range(256)]
            + [character.encode("utf-8") for character in self.characters]
        )
        self._id_of_character = {
            character: self._id_of[character.encode("utf-8")] for character in self.characters
        }

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special token."""
        if isinstance(text, str):
            if text.isascii():
                return list(text.encode("ascii").translate(_ASCII_TO_ID))
            text = utf8.to_bytes(text)
        ids: list[int] = []
        for run, bad_bytes in utf8.runs(text):
            for character in run:
                token_id = self._id_of_character.get(character)
                if token_id is None:
                    ids.extend(N_SPECIAL + byte for byte in character.encode("utf-8"))
                else:
                    ids.append(token_id)
            ids.extend(N_SPECIAL + byte for byte in bad_bytes)
        return ids

    def encode_batch(self, texts: Iterable[str | bytes]) -> list[list[int]]:
        """``encode`` of each text."""
        return [self.encode(text) for text in texts]


def train_char(texts: Iterable[str]) -> CharTokenizer:
    """The tokenizer whose characters are those of ``texts``, in code point order."""
    seen: set[str] = set()
    for text in texts:
        seen.update(text)
    return CharTokenizer(
        sorted(c for c in seen if ord(c) >= 0x80 and not "\ud800" <= c <= "\udfff")
    )
