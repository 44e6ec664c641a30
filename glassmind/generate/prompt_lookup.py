"""Several tokens for one pass of the model: guess them, then check all guesses at once.

A small batch spends its time on reading the weights from memory, so a pass over G + 1 tokens costs
hardly more than one over a single token. Prompt look-up (Saxena 2023, "Prompt lookup decoding")
guesses that the text goes on as it did the last time these words came, which holds for quotations,
code, names and numbers.

The general rule for guesses (Leviathan, Kalman & Matias 2022, arXiv 2211.17192; Chen et al. 2023,
arXiv 2302.01318): where a guess x was drawn with probability q(x), it stands with probability
min(1, p(x) / q(x)), p being the model's; else the token is drawn from max(0, p - q), made to sum to
1. A guess without alternatives has q(x) = 1: it stands with probability p(x), and else p without x
is drawn from. Drawing from p as always and seeing whether x came *is* that, so the sampler draws in
the place of every guess, and as many stand as came up. The tokens are then the very ones that the
request gets without any guesses.
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
