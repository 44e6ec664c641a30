"""Decoders: from tokens back to text.

Pre-tokenizers and normalizers leave traces in the tokens (a space written ``Ġ`` or ``▁``, a
character spelled ``<0xE2><0x82><0xAC>``, a ``##`` before the rest of a word); decoders remove them.
They have the names that the ``tokenizers`` library gives them.

``decode`` works on the list of a text's tokens, because some traces depend on neighbours: three
byte tokens make one character, and the first token of a text is special. ``show`` returns the bytes
of one token on its own; the bytes of a text are those of its tokens, with ``lead`` removed from the
front.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Protocol

from glassmind.tokenize.bpe.byte_alphabet import unspell
from glassmind.tokenize.composed.patterns import Pattern, check_growth
from glassmind.tokenize.composed.pretokenize import PrependScheme

_BYTE = re.compile(r"<0x([0-9a-fA-F]{2})>")


class Decoder(Protocol):
    """Undoes one step of encoding."""

    @property
    def lead(self) -> bytes:
        """Bytes removed once from the front of a text that begins with them."""
        ...

    def decode(self, tokens: list[str]) -> list[str]:
        """The tokens of a text with this step undone."""
        ...

    def show(self, token: str | bytes) -> str | bytes:
        """One token's part of the text; bytes where it may not be whole characters. A value that
        is bytes already is returned unchanged."""
        ...


@dataclass(frozen=True)
class ByteLevel:
    """GPT-2's visible characters become the bytes they stand for; invalid UTF-8 becomes U+FFFD."""

    lead: ClassVar[bytes] = b""

    def decode(self, tokens: list[str]) -> list[str]:
        return [b"".join(map(self.show, tokens)).decode("utf-8", "replace")]

    def show(self, token: str | bytes) -> bytes:
        if isinstance(token, bytes):
            return token
        try:
            return unspell(token)
        except KeyError:  # an added token is plain text
            return token.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class ByteFallback:
    """``<0xE2>`` becomes the byte; in a run that is not UTF-8, each token becomes U+FFFD."""

    lead: ClassVar[bytes] = b""

    def decode(self, tokens: list[str]) -> list[str]:
        out: list[str] = []
        for is_byte, run in groupby(tokens, lambda token: _BYTE.fullmatch(token) is not None):
            if not is_byte:
                out += run
                continue
            data = bytes(int(token[3:5], 16) for token in run)
            try:
                out.append(data.decode("utf-8"))
            except UnicodeDecodeError:
                out += "\ufffd" * len(data)
        return out

    def show(self, token: str | bytes) -> str | bytes:
        match = _BYTE.fullmatch(token) if isinstance(token, str) else None
        return bytes([int(match[1], 16)]) if match else token


@dataclass(frozen=True)
class Replace:
    """Every match of ``pattern`` becomes ``content``."""

    pattern: Pattern
    content: str
    lead: ClassVar[bytes] = b""

    def decode(self, tokens: list[str]) -> list[str]:
        return self.pattern.replace(tokens, self.content)

    def show(self, token: str | bytes) -> str | bytes:
        return token if isinstance(token, bytes) else self.decode([token])[0]


@dataclass(frozen=True)
class Fuse:
    """Join all tokens into one."""

    lead: ClassVar[bytes] = b""

    def decode(self, tokens: list[str]) -> list[str]:
        return ["".join(tokens)]

    def show(self, token: str | bytes) -> str | bytes:
        return token


@dataclass(frozen=True)
class Strip:
    """Remove ``content`` up to ``start`` times from the front of a token, ``stop`` times from its
    end. It comes after ``Fuse``, so the token is the whole text."""

    content: str
    start: int
    stop: int

    @property
    def lead(self) -> bytes:
        return self.content.encode("utf-8") * self.start

    def decode(self, tokens: list[str]) -> list[str]:
        return [self._strip(token) for token in tokens]

    def _strip(self, token: str) -> str:
        start, stop = 0, len(token)
        while start < min(self.start, stop) and token[start] == self.content:
            start += 1
        while stop > max(len(token) - self.stop, start) and token[stop - 1] == self.content:
            stop -= 1
        return token[start:stop]

    def show(self, token: str | bytes) -> str | bytes:
        return token


@dataclass(frozen=True)
class Metaspace:
    """``replacement`` becomes a space; in the first token it is removed, unless encoding adds none
    there (``prepend_scheme`` "never")."""

    replacement: str = "▁"
    prepend_scheme: PrependScheme = "always"
    split_words: bool = True

    @property
    def lead(self) -> bytes:
        return b"" if self.prepend_scheme == "never" else b" "

    def decode(self, tokens: list[str]) -> list[str]:
        out = [token.replace(self.replacement, " ") for token in tokens]
        if tokens and self.prepend_scheme != "never":
            out[0] = tokens[0].replace(self.replacement, "")
        return out

    def show(self, token: str | bytes) -> str | bytes:
        return token if isinstance(token, bytes) else token.replace(self.replacement, " ")


# Spaces that BERT's clean-up removes again, in this order.
_CLEANED = (
    *((f" {sign}", sign) for sign in ".?!,"),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    *((f" '{ending}", f"'{ending}") for ending in ("s", "ve", "re")),
)


@dataclass(frozen=True)
class WordPiece:
    """A token with ``prefix`` joins the one before it, every other gets a space before it;
    ``cleanup`` then removes spaces before punctuation and English contractions."""

    prefix: str = "##"
    cleanup: bool = True
    lead: ClassVar[bytes] = b" "

    def decode(self, tokens: list[str]) -> list[str]:
        out = tokens[:1] + [self._join(token) for token in tokens[1:]]
        if self.cleanup:
            for dirty, clean in _CLEANED:
                out = [token.replace(dirty, clean) for token in out]
        return out

    def _join(self, token: str) -> str:
        return token[len(self.prefix) :] if token.startswith(self.prefix) else " " + token

    def show(self, token: str | bytes) -> str | bytes:
        return token if isinstance(token, bytes) else self._join(token)


@dataclass(frozen=True)
class BPEDecoder:
    """``suffix``, which ends words, becomes a space, except at the end of the text."""

    suffix: str = "</w>"
    lead: ClassVar[bytes] = b""

    def decode(self, tokens: list[str]) -> list[str]:
        spaced = [token.replace(self.suffix, " ") for token in tokens[:-1]]
        return spaced + [token.replace(self.suffix, "") for token in tokens[-1:]]

    def show(self, token: str | bytes) -> str | bytes:
        return token if isinstance(token, bytes) else token.replace(self.suffix, " ")


@dataclass(frozen=True)
class Sequence:
    """One decoder after the other. Raises ``UserError`` where together they make a text too long
    (``patterns.check_growth``)."""

    decoders: tuple[Decoder, ...]

    @property
    def lead(self) -> bytes:
        return b"".join(decoder.lead for decoder in self.decoders)

    def decode(self, tokens: list[str]) -> list[str]:
        length = sum(map(len, tokens))
        for decoder in self.decoders:
            tokens = decoder.decode(tokens)
            check_growth(length, sum(map(len, tokens)))
        return tokens

    def show(self, token: str | bytes) -> str | bytes:
        length = len(token)
        for decoder in self.decoders:
            token = decoder.show(token)
            check_growth(length, len(token))
        return token
