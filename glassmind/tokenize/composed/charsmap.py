r"""SentencePiece's normalization: a table of string replacements, packed into a trie.

SentencePiece (Kudo and Richardson, 2018, arXiv 1808.06226) does not call a Unicode library: the
rules (NFKC plus the clean-up of Google's translation systems, usually) are compiled into the model
file, so that a file normalizes the same way everywhere. The table maps short
strings to strings: ``"ﬁ"`` to ``"fi"``, a tab to a space, ``"e"`` with an accent to ``"é"``. It is
stored as a *double array* (Aoe, 1989; the layout is that of the Darts-clone library), a trie over
UTF-8 bytes in one array of 32-bit units: from a node, the byte ``b`` leads to the unit at
``node ^ b``, and the step is real if that unit is labelled ``b``. A unit that ends a string says
where its replacement begins in a second block of bytes.

Two programs apply the same table differently; both ways are here. SentencePiece replaces the
longest matching string at each place. The ``tokenizers`` library (``Precompiled``) goes through
grapheme clusters (Unicode Standard Annex 29) and replaces a whole cluster by the replacement of its
*shortest* matching prefix.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import regex  # type: ignore[import-untyped]

_CLUSTER = regex.compile(r"\X")
_MAX_REMEMBERED = 1 << 16
_MAX_REPLACEMENT = 256  # bytes; NFKC's longest, of U+FDFA, has 33
K = TypeVar("K")
V = TypeVar("V")


class Memory(dict[K, V]):
    """Caches a function's results by key; a full cache is cleared."""

    def __init__(self, function: Callable[[K], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: K) -> V:
        value = self._function(key)
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        self[key] = value
        return value


@dataclass(frozen=True)
class CharsMap:
    """The table, from its stored bytes. Raises ``ValueError`` where they are malformed.

    A lookup always terminates and stays within the bytes, whatever they contain.
    """

    blob: bytes

    def __repr__(self) -> str:
        return f"CharsMap(<{len(self.blob)} bytes, {hashlib.sha256(self.blob).hexdigest()}>)"

    def __post_init__(self) -> None:
        if len(self.blob) < 8:
            raise ValueError("a character map needs at least eight bytes")
        (size,) = struct.unpack_from("<I", self.blob)
        if size % 4 or not 4 <= size <= len(self.blob) - 4:
            raise ValueError(
                f"a character map of {len(self.blob)} bytes cannot hold {size} of trie"
            )
        if max(map(len, self.blob[4 + size :].split(b"\0"))) > _MAX_REPLACEMENT:
            raise ValueError(
                f"a character map replaces something by more than {_MAX_REPLACEMENT} bytes"
            )

    @cached_property
    def _units(self) -> tuple[int, ...]:
        (size,) = struct.unpack_from("<I", self.blob)
        return struct.unpack_from(f"<{size // 4}I", self.blob, 4)

    @cached_property
    def steps(self) -> Memory[tuple[int, str], tuple[int, str | None] | None]:
        """The node that a character leads to (the walk starts at ``root``), and the replacement of
        the string that ends there, if any. ``None`` where no string continues this way."""
        return Memory(self._step)

    def _step(self, place: tuple[int, str]) -> tuple[int, str | None] | None:
        (node, character), replacement = place, None
        for byte in character.encode("utf-8"):
            node ^= byte
            if not byte or node >= len(self._units):
                return None
            unit = self._units[node]
            if unit & 0x8000_00FF != byte:
                return None
            node ^= _offset(unit)
            replacement = None
            if unit >> 8 & 1 and node < len(self._units):
                replacement = self._replacement(self._units[node] & 0x7FFF_FFFF)
        return node, replacement

    @cached_property
    def root(self) -> int:
        """The node that a walk starts from."""
        return _offset(self._units[0])

    def _replacement(self, start: int) -> str:
        start += 4 + 4 * len(self._units)
        end = self.blob.find(b"\0", start)
        return self.blob[start : end if end >= 0 else len(self.blob)].decode("utf-8", "replace")


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 1 << 9) >> 6)


@dataclass(frozen=True)
class Precompiled:
    """The table as the ``tokenizers`` library applies it."""

    charsmap: CharsMap

    def normalize(self, text: str) -> str:
        return "".join(map(self._remembered.__getitem__, _CLUSTER.findall(text)))

    @cached_property
    def _remembered(self) -> Memory[str, str]:
        return Memory(self._replace)

    def _replace(self, cluster: str) -> str:
        # Strings of the table are at most five bytes long there.
        if len(cluster.encode("utf-8")) < 6 and (whole := self._shortest(cluster)) is not None:
            return whole
        return "".join(c if (r := self._shortest(c)) is None else r for c in cluster)

    def _shortest(self, text: str) -> str | None:
        """The replacement of the shortest string in the table that ``text`` begins with."""
        node = self.charsmap.root
        for character in text:
            found = self.charsmap.steps[node, character]
            if found is None:
                return None
            node, replacement = found
            if replacement is not None:
                return replacement
        return None


@dataclass(frozen=True)
class SentencePieceNormalizer:
    """SentencePiece's whole normalization.

    The table is applied (``None``: no table), except inside the strings of ``kept``. Spaces at the
    ends are removed and runs of them become one (``remove_extra_whitespaces``). A space is put in
    front (``add_dummy_prefix``). Spaces are written ``▁``.
    """

    charsmap: CharsMap | None
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    kept: tuple[str, ...] = ()

    def normalize(self, text: str) -> str:
        if not text:
            return text
        if self.charsmap is not None:
            parts = self._kept_pattern.split(text) if self.kept else [text]
            parts[::2] = [self._map(part, self.charsmap) for part in parts[::2]]
            text = "".join(parts)
        if self.remove_extra_whitespaces:
            text = re.sub("  +", " ", text.lstrip(" "))
        text = (" " * self.add_dummy_prefix + text).replace(" ", "▁")
        return text.rstrip("▁") if self.remove_extra_whitespaces else text

    @cached_property
    def _kept_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.kept, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def _map(self, text: str, charsmap: CharsMap) -> str:
        """Replace the longest string of the table at each place."""
        out: list[str] = []
        start = 0
        while start < len(text):
            node, at, end, replacement = charsmap.root, start, start + 1, text[start]
            while at < len(text):
                found = charsmap.steps[node, text[at]]
                if found is None:
                    break
                node, shorter = found
                at += 1
                if shorter is not None:
                    end, replacement = at, shorter
            out.append(replacement)
            start = end
        return "".join(out)
