"""Guessing that the text goes on as it did the last time these words came.

That holds for quotations, code, names and numbers, and costs no model (Saxena 2023, "Prompt lookup
decoding"). What becomes of the guesses is told in ``acceptance``: the tokens are the very ones that
the request gets without any.
"""

from __future__ import annotations

from collections.abc import Iterable


class PromptLookup:
    """Proposes what followed when the last few tokens came before (as ``transformers`` does).

    The longest match counts, of up to ``max_ngram`` tokens, and of equally long ones the earliest,
    which has most behind it. An index from n-grams to what came behind them is kept up to date
    token by token, so that nothing is searched.
    """

    def __init__(self, ids: Iterable[int], max_ngram: int = 3) -> None:
        self._ids: list[int] = []
        self._max_ngram = max_ngram
        self._behind: dict[tuple[int, ...], int] = {}  # n-gram -> position behind its first place
        self.extend(ids)

    def extend(self, ids: Iterable[int]) -> None:
        """These tokens have come."""
        for token_id in ids:
            # What ended here until now is an earlier place only with something behind it.
            for ngram in self._endings():
                self._behind.setdefault(ngram, len(self._ids))
            self._ids.append(token_id)

    def propose(self, most: int) -> list[int]:
        """Up to ``most`` guesses; none where the last token is new."""
        for ngram in self._endings():
            start = self._behind.get(ngram)
            if start is not None:
                return self._ids[start : start + most]
        return []

    def _endings(self) -> list[tuple[int, ...]]:
        """The n-grams the tokens end with, longest first."""
        longest = min(self._max_ngram, len(self._ids))
        return [tuple(self._ids[-n:]) for n in range(longest, 0, -1)]
