r"""Byte-pair encoding as published files define it: over the characters of a spelled piece.

The smallest tokens of our own tokenizer (``bpe``) are bytes. Here they are characters, which covers
both common families. In GPT-2's, a piece arrives spelled with one visible character per byte. In
SentencePiece's, the characters are those of the text, and one without a token is written as its
bytes (``<0xE2>``; *byte fallback*) or is unknown. Merging is the same (``bpe/merging.py``).

Some formats list ranked tokens instead of pairs ("merge any two neighbours that form a token, the
best rank first"). ``canonical_merges`` turns such a list into pairs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from glassmind.errors import UserError
from glassmind.tokenize.bpe.merging import MergeTable

T = TypeVar("T", str, bytes)
_MAX_WORK = 30_000_000  # steps; a vocabulary of 262,144 takes six million


class CharacterBPE:
    """A vocabulary of spelled tokens and its merges.

    ``vocab`` maps spellings to ids, ``merges`` are pairs of spellings, the earliest learned first
    (of a pair listed twice the last counts). The settings:

    - ``unk``: the spelling of the token for a character that has none; ``None``: such characters
      are dropped. ``fuse_unk``: one token for a run of them.
    - ``byte_fallback``: such a character is written as its bytes, if all of them are tokens.
    - ``ignore_merges``: a piece that is a token as a whole is that token, whatever its merges say.
    - ``continuing_subword_prefix`` stands before every character that does not begin its piece,
      ``end_of_word_suffix`` after the last.
    - ``whole``: spellings that are one symbol wherever they occur, the longest first, and never
      merged (SentencePiece's user-defined symbols).
    - ``never``: spellings of special tokens, which text never encodes to: they are removed from
      ``vocab`` (except ``unk``), and merges that make or use them are removed from ``merges``.

    Raises ``ValueError`` where a merge names a token that is not in the vocabulary.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        *,
        unk: str | None = None,
        fuse_unk: bool = False,
        byte_fallback: bool = False,
        ignore_merges: bool = False,
        continuing_subword_prefix: str = "",
        end_of_word_suffix: str = "",
        whole: frozenset[str] = frozenset(),
        never: frozenset[str] = frozenset(),
    ) -> None:
        self.vocab, self.unk, self.fuse_unk = vocab, unk, fuse_unk
        self.byte_fallback, self.ignore_merges = byte_fallback, ignore_merges
        self.continuing_subword_prefix = continuing_subword_prefix
        self.end_of_word_suffix, self.whole = end_of_word_suffix, whole
        self.merges = tuple(merges)
        skipped = len(continuing_subword_prefix)
        if never:
            self.vocab = {t: i for t, i in vocab.items() if t not in never or t == unk}
            self.merges = tuple(
                (left, right)
                for left, right in self.merges
                if never.isdisjoint((left, right, left + right[skipped:]))
            )
        strange = sorted(whole - vocab.keys())
        if strange:
            raise ValueError(f"the whole symbol {strange[0]!r} is not in the vocabulary")
        # A pair may be listed twice (ranks come from the last listing), a MergeTable refuses that.
        joins: dict[tuple[int, int], int] = {}
        for rank, (left, right) in enumerate(self.merges):
            try:
                pair, product = (vocab[left], vocab[right]), vocab[left + right[skipped:]]
            except KeyError as error:
                raise ValueError(
                    f"merge {rank} needs {error.args[0]!r}, which is not in the vocabulary"
                ) from None
            joins.pop(pair, None)
            joins[pair] = product
        self.merge_table = MergeTable(
            [(left, right, product) for (left, right), product in joins.items()],
            max(vocab.values(), default=-1) + 1,
        )
        self._byte_ids = [vocab.get(f"<0x{byte:02X}>") for byte in range(256)]

    def encode_piece(self, piece: str) -> list[int]:
        """Ids of one piece, spelled as the vocabulary spells."""
        if self.ignore_merges:
            token_id = self.vocab.get(piece)
            if token_id is not None:
                return [token_id]
        return self.merge_table.merge(self.start_ids(piece))

    def start_ids(self, piece: str) -> list[int]:
        """The ids before merging: one for each character that has a token."""
        if self._is_plain:
            try:
                return [self.vocab[character] for character in piece]
            except KeyError:
                pass
        ids: list[int] = []
        unknown: list[int] = []  # what is held back, since the next unknown may join it
        for symbol in self._symbols(piece):
            token_id = self.vocab.get(symbol)
            if token_id is not None:
                ids += unknown
                unknown.clear()
                ids.append(token_id)
            elif (as_bytes := self._as_bytes(symbol)) is not None:
                ids += as_bytes
            elif self.unk is not None and not (self.fuse_unk and unknown):
                ids += unknown
                if self.unk not in self.vocab:
                    raise UserError(
                        f"the tokenizer has no token for {symbol!r}, and its unknown token "
                        f"{self.unk!r} is not in its vocabulary; use a tokenizer that has one"
                    )
                unknown = [self.vocab[self.unk]]
        return ids + unknown

    def _symbols(self, piece: str) -> Iterator[str]:
        """The characters of a piece, or the whole symbols, with prefix and suffix."""
        symbols: Sequence[str] = self._whole_or_one.findall(piece) if self.whole else piece
        last = len(symbols) - 1
        for at, symbol in enumerate(symbols):
            if at > 0:
                symbol = self.continuing_subword_prefix + symbol
            yield symbol + self.end_of_word_suffix if at == last else symbol

    def _as_bytes(self, symbol: str) -> list[int] | None:
        if not self.byte_fallback:
            return None
        ids = [self._byte_ids[byte] for byte in symbol.encode("utf-8")]
        known = [token_id for token_id in ids if token_id is not None]
        return known if len(known) == len(ids) else None

    @cached_property
    def _is_plain(self) -> bool:
        return not (self.continuing_subword_prefix or self.end_of_word_suffix or self.whole)

    @cached_property
    def _whole_or_one(self) -> re.Pattern[str]:
        longest_first = sorted(self.whole, key=len, reverse=True)
        return re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)

    def find_cuts(self) -> Callable[[str], list[str]] | None:
        """For a model whose pieces are whole texts: a cut that does not change the ids.

        SentencePiece-like tokenizers have no pre-tokenizer, and a piece as long as a book cannot be
        cached. But in tokens that contain ``▁``, it is at the start. If only the characters in
        ``inside`` ever precede a ``▁`` within a token, no token crosses a ``▁`` that another
        character precedes, and the text may be cut there. ``None`` where this does not hold.
        """
        if self.continuing_subword_prefix or self.end_of_word_suffix or "▁" not in self.vocab:
            return None
        inside = {
            before
            for token in self.vocab
            if token.rfind("▁") > 0
            for before, mark in itertools.pairwise(token)
            if mark == "▁" and before != "▁"
        }
        if len(inside) > 100:
            return None
        more = ""
        if inside:
            more = f"(?:(?<=[{''.join(map(re.escape, sorted(inside)))}])▁+[^▁]*)*"
        return re.compile(f"▁+[^▁]*{more}|[^▁]+{more}").findall


def canonical_merges(
    worth: Mapping[T, float], start: Callable[[T], Sequence[T]]
) -> Iterator[tuple[T, T]]:
    """The pairs to merge, in order, for a vocabulary that ranks tokens.

    Of all neighbours that form a token in ``worth``, tiktoken and SentencePiece merge the pair
    whose token is worth most (the leftmost of equals). Several pairs can form the same token, but
    only one of them is ever merged: a token is always built by the same steps, whatever surrounds
    it, because no merge has crossed its ends. So it is enough to build each token once, from the
    symbols that ``start`` returns, and record its last step.

    Raises ``ValueError`` where that would take too long, which happens only for extremely long
    tokens.
    """
    nothing = float("-inf")
    work = 0
    # Of tokens with equal worth the longer comes first, so that a run of spaces grows from the
    # left, as the rule requires.
    for token in sorted(worth, key=lambda token: (-worth[token], -len(token))):
        symbols = list(start(token))
        work += len(symbols) ** 2
        if work > _MAX_WORK:
            raise ValueError("the tokens are too long for a vocabulary of words")
        values = [worth.get(left + right, nothing) for left, right in itertools.pairwise(symbols)]
        while len(symbols) > 2:
            best = max(values)
            if best == nothing:
                break
            at = values.index(best)  # the leftmost
            symbols[at] += symbols[at + 1]
            del symbols[at + 1], values[at]
            if at:
                values[at - 1] = worth.get(symbols[at - 1] + symbols[at], nothing)
            if at < len(values):
                values[at] = worth.get(symbols[at] + symbols[at + 1], nothing)
        if len(symbols) == 2:
            yield symbols[0], symbols[1]
