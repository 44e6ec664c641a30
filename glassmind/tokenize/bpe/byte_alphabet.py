"""The printable spelling of the 256 bytes, as GPT-2 introduced it.

Byte-level BPE works on bytes, but its vocabulary files are JSON, which holds text. GPT-2 (Radford
et al., 2019) therefore wrote every byte as one visible character: the bytes that are visible
characters of Latin-1 stand for themselves, and the other 68 (controls, the space, the soft
hyphen) are given the code points from U+0100 upwards in turn. That is why the space shows as
``Ġ`` (U+0120) in so many vocabularies.

The order of these characters is also the order of the 256 byte tokens in our vocabulary, because
it is the order in which the ``tokenizers`` library numbers them: ``!`` first, the space as
number 220.
"""

from __future__ import annotations


def _byte_characters() -> tuple[str, ...]:
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    characters = []
    next_free = 0x100
    for byte in range(256):
        if byte in visible:
            characters.append(chr(byte))
        else:
            characters.append(chr(next_free))
            next_free += 1
    return tuple(characters)


BYTE_TO_CHARACTER: tuple[str, ...] = _byte_characters()
"""Indexed by byte: its visible character."""

CHARACTER_TO_BYTE: dict[str, int] = {
    character: byte for byte, character in enumerate(BYTE_TO_CHARACTER)
}

BYTE_ORDER: bytes = bytes(sorted(range(256), key=BYTE_TO_CHARACTER.__getitem__))
"""The 256 bytes in the order in which the vocabulary numbers them."""


def spell(token: bytes) -> str:
    """A token's bytes as visible characters: ``b" cat"`` gives ``"Ġcat"``."""
    return "".join(map(BYTE_TO_CHARACTER.__getitem__, token))


def unspell(text: str) -> bytes:
    """The inverse of ``spell``. Raises ``KeyError`` for a character that is not in the alphabet."""
    return bytes(map(CHARACTER_TO_BYTE.__getitem__, text))
