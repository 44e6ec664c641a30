"""From pieces of text to ids, with a cache: the inner loop of every encoder here.

A pre-split (``presplit.py``, ``composed/pretokenize.py``) cuts text into short pieces, and language
repeats itself: of the two million pieces in ten megabytes of English, one in fifty is new. So the
ids of a piece are computed once and cached, and encoding ordinary text is one table lookup per
piece, done by standard library functions written in C: no Python code runs for a piece seen before.

Where the pre-split itself is slow, the cache can save that too: text is first cut roughly, at
places that are quick to find, and only rough pieces not seen before are cut exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from glassmind.tokenize.bpe.presplit import blocks, is_word, rough_cut

_MAX_REMEMBERED = 1 << 17  # pieces; about 20 MB of English, never more than 70 MB
_MAX_CHARACTERS = 48  # in a piece worth remembering
_MAX_IDS = 16  # of a piece worth remembering


class PieceEncoder:
    """Encodes text piece by piece.

    ``splitter`` cuts a text into its pieces, in order; ``encode_piece`` returns the ids of one. The
    ids of a piece must depend on the piece alone. ``encode`` raises whatever either raises.
    ``cuts_are_certain`` promises that ``splitter`` makes the certain cuts that ``presplit.py``
    describes; encoding then gives the same ids faster.
    """

    def __init__(
        self,
        splitter: Callable[[str], list[str]],
        encode_piece: Callable[[str], list[int]],
        cuts_are_certain: bool = False,
    ) -> None:
        self._arguments = (splitter, encode_piece, cuts_are_certain)
        self._splitter = splitter
        self._encode_piece = encode_piece
        self._cuts_are_certain = cuts_are_certain
        self._memory = _Memory(self._encode_rough if cuts_are_certain else encode_piece)

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``, joined."""
        if not self._cuts_are_certain:
            return self._encode_all(self._splitter(text))
        ids: list[int] = []
        for block in blocks(text):
            ids += self._encode_all(rough_cut(block))
        return ids

    def _encode_all(self, pieces: list[str]) -> list[int]:
        return list(chain.from_iterable(map(self._memory.__getitem__, pieces)))

    def _encode_rough(self, piece: str) -> list[int]:
        """Ids of a piece that may have to be cut further. A piece that is exact is not cut again,
        so one cache serves for both."""
        if not is_word(piece):
            pieces = self._splitter(piece)
            if len(pieces) > 1:
                return self._encode_all(pieces)
        return self._encode_piece(piece)

    def __reduce__(self) -> tuple[type[PieceEncoder], tuple[object, ...]]:
        """For pickling: the constructor's arguments, without the cache."""
        return PieceEncoder, self._arguments


class _Memory(dict[str, tuple[int, ...]]):
    """A cache of ids. A missing piece is encoded, and stored if it is short. A full cache is
    cleared."""

    def __init__(self, work_out: Callable[[str], list[int]]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = tuple(self._work_out(piece))
        if len(piece) <= _MAX_CHARACTERS and len(ids) <= _MAX_IDS:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            self[piece] = ids
        return ids
