"""Reads the part of a GGUF file before the weights: facts about the model, and a list of tensors.

GGUF is the format of llama.cpp (ggml-org/ggml, docs/gguf.md): one file with the weights, the sizes
of the architecture, the tokenizer and the chat template. It begins with

    "GGUF"  version  number of tensors  number of facts
    fact:    name  type  value            (a number, a string, or an array of either)
    tensor:  name  sides  type  offset    (offsets count from the end of all this, rounded up)

and then come the tensors' bytes. Counts and lengths are not trusted: each is checked against the
size of the file before anything is allocated, so a damaged or hostile file needs no more memory
than a few times its own size. This module reads no weights and needs no library, so that a
tokenizer can be read from a GGUF without importing torch.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from glassmind.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 had 32-bit lengths and is no longer written
MOST_HEADER_BYTES = 1 << 28
MOST_STRING_BYTES = 1 << 24
MOST_ELEMENTS = 1 << 22  # of all arrays together; a vocabulary of 256k brings fewer than 2^20
MOST_ENTRIES = 1 << 16  # facts, and tensors; models of 100 layers have some thousand
MOST_SIDES = 4

# Type number -> little-endian format, for values of fixed size. 8 is a string, 9 an array.
_FIXED = {
    number: struct.Struct("<" + form)
    for number, form in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip
_FLOAT32, _STRING, _ARRAY = 6, 8, 9
_U32, _U64 = _FIXED[4], _FIXED[10]


Metadata: TypeAlias = dict[str, Any]
"""Facts of a GGUF by name: texts, booleans, numbers, or lists of one of these."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file. ``shape`` is in PyTorch's order: the contiguous dimension is last.

    ``type_id`` is ggml's number for its format, ``start`` the position of its first byte in the
    file.
    """

    name: str
    shape: tuple[int, ...]
    type_id: int
    start: int


@dataclass(frozen=True)
class Header:
    """The header of the GGUF at ``path``: ``metadata`` by name, and the list of tensors.

    Values of ``metadata`` are ``bool``, ``int``, ``float``, ``str``, or a list of one of these.
    A single 32-bit float is read as the shortest decimal that rounds to it (0.00001, not
    0.000009999999747378752).
    """

    path: Path
    metadata: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]
    file_bytes: int


def read_header(path: str | Path) -> Header:
    """Read the header of a GGUF file.

    Raises:
        UserError: it is not a complete GGUF of version 2 or 3 in one part; the message says where.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write
        raise UserError(f"{path} is a folder or pipe, not a GGUF file")
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise UserError(f"{path} is not a GGUF file: it does not begin with the word GGUF")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header(file_bytes)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None


class _Reader:
    """Reads one value of the header after the other."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, len(MAGIC)
        self.field = "its header"
        self.end = min(len(data), MOST_HEADER_BYTES)
        self.elements_left = MOST_ELEMENTS

    def wrong(self, what: str) -> UserError:
        return UserError(f"{self.path}: {self.field} {what}")

    def header(self, file_bytes: int) -> Header:
        version = self.fixed(_U32)
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            reason = "is big-endian" if swapped else f"has version {version}"
            raise self.wrong(f"{reason}; little-endian files of version 2 and 3 can be read")
        n_tensors, n_facts = self.fixed(_U64), self.fixed(_U64)
        # The shortest fact is an empty name and a byte, the shortest tensor an empty name.
        for count, least_bytes, what in ((n_facts, 13, "facts"), (n_tensors, 24, "tensors")):
            self.room_for(count, least_bytes, what)
            if count > MOST_ENTRIES:
                raise self.wrong(f"claims {count} {what}; {MOST_ENTRIES} are the limit")
        metadata: dict[str, object] = {}
        for number in range(n_facts):
            self.field = f"the name of fact {number}"
            name = self.string()
            self.field = f"field {name[:80]!r}"
            if name in metadata:
                raise self.wrong("is there twice")
            metadata[name] = self.value(self.fixed(_U32))
        if metadata.get("split.count", 1) not in (0, 1):
            raise UserError(
                f"{self.path} is one of {metadata['split.count']} parts of a model: join them "
                "with llama.cpp's llama-gguf-split --merge, and load the result"
            )
        unplaced = [self.tensor(number) for number in range(n_tensors)]
        first = self.first_byte(metadata)
        names = {info.name for info in unplaced}
        if len(names) < len(unplaced):
            raise UserError(f"{self.path}: two of its tensors have the same name")
        tensors = tuple(
            TensorInfo(info.name, info.shape, info.type_id, first + info.start) for info in unplaced
        )
        return Header(self.path, metadata, tensors, file_bytes)

    def first_byte(self, metadata: Mapping[str, object]) -> int:
        """Where the tensors begin."""
        alignment = metadata.get("general.alignment", 32)
        self.field = "field 'general.alignment'"
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment % 8:
            raise self.wrong(f"must be a multiple of 8, not {alignment!r:.40}")
        return -(-self.at // alignment) * alignment

    def tensor(self, number: int) -> TensorInfo:
        self.field = f"the name of tensor {number}"
        name = self.string()
        self.field = f"tensor {name[:80]!r}"
        n_sides = self.fixed(_U32)
        if not 1 <= n_sides <= MOST_SIDES:
            raise self.wrong(f"has {n_sides} dimensions; 1 to {MOST_SIDES} are possible")
        shape = tuple(self.fixed(_U64) for _ in range(n_sides))[::-1]
        numbers = 1
        for side in shape:
            numbers *= side
        if not 0 < numbers < 1 << 62:
            raise self.wrong(f"has the impossible shape {shape}")
        return TensorInfo(name, shape, self.fixed(_U32), self.fixed(_U64))

    def value(self, kind: int) -> object:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(self.fixed(_U32), self.fixed(_U64))
        if kind not in _FIXED:
            raise self.wrong(f"has the unknown type {kind}")
        number = self.fixed(_FIXED[kind])
        return float(str(np.float32(number))) if kind == _FLOAT32 else number

    def array(self, kind: int, count: int) -> list[object]:
        if kind != _STRING and kind not in _FIXED:
            raise self.wrong(f"is an array of the unknown type {kind}")
        size = _U64.size if kind == _STRING else _FIXED[kind].size
        self.room_for(count, size, "elements")
        self.elements_left -= count
        if self.elements_left < 0:
            raise self.wrong(f"makes more than {MOST_ELEMENTS} elements of arrays in one file")
        if kind == _STRING:
            return [self.string() for _ in range(count)]
        return list(struct.unpack(f"<{count}{_FIXED[kind].format[1:]}", self.take(count * size)))

    def string(self) -> str:
        length = self.fixed(_U64)
        if length > MOST_STRING_BYTES:
            raise self.wrong(f"claims a text of {length} bytes; {MOST_STRING_BYTES} are the limit")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.wrong("holds a text that is not UTF-8") from None

    def fixed(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def take(self, n_bytes: int) -> bytes:
        start, self.at = self.at, self.at + n_bytes
        if self.at > self.end:
            if self.end == MOST_HEADER_BYTES:
                raise self.wrong(f"is beyond the {self.end} bytes that a header may have")
            raise self.wrong(f"is cut off: the file ends after {self.end} bytes")
        return self.data[start : self.at]

    def room_for(self, count: int, least_bytes: int, what: str) -> None:
        if count * least_bytes > self.end - self.at:
            raise self.wrong(f"claims {count} {what}, more than the file has room for")
