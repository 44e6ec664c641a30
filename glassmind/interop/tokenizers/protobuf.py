"""The wire format of Protocol Buffers, as far as a SentencePiece model needs it.

A message is a sequence of fields. Each begins with a number that encodes the field's number and the
type of its value: a *varint* (seven bits per byte; the eighth says that more bytes follow), eight
bytes, four bytes, or a varint and that many bytes. The schema defines what the fields mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of ``message`` in order: the number of each, and its value as an integer (varints)
    or as bytes (all others). Raises ``ValueError`` if the bytes are not a message."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        kind, number = key & 7, key >> 3
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _read_varint(message, position)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of unknown kind {kind} at byte {position}")
        if position + length > len(message):
            raise ValueError(f"a field at byte {position} claims {length} bytes, past the end")
        yield number, message[position : position + length]
        position += length


def read_float(value: int | bytes) -> float:
    """A 32-bit float field. Raises ``ValueError`` for a field of another kind."""
    if not isinstance(value, bytes) or len(value) != 4:
        raise ValueError("a number that should be a 32-bit float is not")
    number: float = struct.unpack("<f", value)[0]
    return number


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """The number that begins at ``position``, and where it ends."""
    value = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"a number that does not end at byte {position}")
