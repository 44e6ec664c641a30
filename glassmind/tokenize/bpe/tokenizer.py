"""Byte-level byte-pair encoding: from text to ids and exactly back.

BPE (Gage, 1994; for language models Sennrich et al., 2016, arXiv 1508.07909; on bytes Radford et
al., 2019) starts from the 256 bytes and an ordered list of *merges*: "token a followed by token b
becomes token c". Encoding a piece of text applies the earliest-learned merge that applies anywhere,
at its leftmost place, and repeats until none applies. Because it starts from bytes, no text is
unknown.

Pieces from the pre-split (``presplit.py``) are short and repeat, so their ids are cached
(``pieces.py``): on ordinary text almost every piece is a table lookup. The others are merged by
``merging.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from glassmind.tokenize import utf8
from glassmind.tokenize.base import TokenTable
from glassmind.tokenize.bpe.merging import MergeTable
from glassmind.tokenize.bpe.pieces import PieceEncoder
from glassmind.tokenize.bpe.presplit import presplit


class BPETokenizer(TokenTable):
    """A byte-level BPE tokenizer.

    ``tokens`` are the byte strings of the ids after the special ones, in order of id, and must
    include all 256 single bytes. ``merges`` are pairs of ids, the earliest learned first; a pair
    becomes the token whose bytes are the two joined. Raises ``ValueError`` if that token or a byte
    is missing, or if a merge is repeated or names a special token.
    """

    def __init__(self, tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> None:
        super().__init__(tokens)
        self.merges: tuple[tuple[int, int], ...] = tuple(merges)
        try:
            self._byte_ids = [self._id_of[bytes([byte])] for byte in range(256)]
        except KeyError as error:
            raise ValueError(f"the vocabulary lacks the byte {error.args[0]!r}") from None
        joins: list[tuple[int, int, int]] = []
        for rank, (left, right) in enumerate(self.merges):
            if not (0 <= left < self.vocab_size and 0 <= right < self.vocab_size):
                raise ValueError(f"merge {rank} names an id outside the vocabulary")
            left_bytes, right_bytes = self._token_bytes[left], self._token_bytes[right]
            if not left_bytes or not right_bytes:
                raise ValueError(f"merge {rank} names a special token")
            product = self._id_of.get(left_bytes + right_bytes)
            if product is None:
                raise ValueError(f"merge {rank} makes a token that is not in the vocabulary")
            joins.append((left, right, product))
        self.merge_table = MergeTable(joins, self.vocab_size)
        self._pieces = PieceEncoder(presplit, self._encode_text_piece, cuts_are_certain=True)

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special token."""
        if isinstance(text, str):
            try:
                return self._pieces.encode(text)
            except UnicodeEncodeError:  # lone surrogates are not text: encode them as bytes
                text = utf8.to_bytes(text)
        ids: list[int] = []
        for run, bad_bytes in utf8.runs(text):
            ids += self._pieces.encode(run)
            ids += map(self._byte_ids.__getitem__, bad_bytes)
        return ids

    def encode_batch(self, texts: Iterable[str | bytes]) -> list[list[int]]:
        """``encode`` of each text."""
        return [self.encode(text) for text in texts]

    def encode_piece(self, piece: bytes) -> list[int]:
        """Ids of one piece's bytes, without the cache."""
        return self.merge_table.merge([self._byte_ids[byte] for byte in piece])

    def _encode_text_piece(self, piece: str) -> list[int]:
        return self.encode_piece(piece.encode("utf-8"))
