"""Guessing that the text continues as it did the last time the same words occurred.

That is often true of quotations, code, names and numbers, and needs no second model (Saxena 2023,
"Prompt lookup decoding"). ``acceptance`` decides which guesses are kept; the tokens are exactly
those that the request gets without guesses.
"""

from __future__ import annotations

from collections.abc import Iterable


class PromptLookup:
    """Proposes what followed an earlier occurrence of the last tokens (as ``transformers`` does).

    The longest match of up to ``max_ngram`` tokens is used, and of equally long ones the earliest,
    which has the most tokens after it. An index from n-grams to the position after them is updated
    with every token, so nothing is searched.
    """

    def __init__(self, ids: Iterable[int], max_ngram: int = 3) -> None:
        self._ids: list[int] = []
        self._max_ngram = max_ngram
        self._behind: dict[tuple[int, ...], int] = {}  # n-gram -> position behind its first place
        self.extend(ids)

    def extend(self, ids: Iterable[int]) -> None:
        """Add tokens to the text."""
        for token_id in ids:
            # The n-grams that end here are added once a token follows them.
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
