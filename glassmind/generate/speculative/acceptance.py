"""Which guesses are kept, so that guessing changes the speed and not the distribution of tokens.

A small batch spends its time reading the weights from memory, so a pass over G + 1 tokens costs
hardly more than one over a single token. Something cheap guesses G tokens; one pass of the model
gives the probabilities in the place of each guess and after the last; a rule decides which are
kept.

The rule (Leviathan, Kalman & Matias 2022, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318):
a guess x that was drawn with probability q(x) is kept with probability min(1, p(x) / q(x)), where p
is the model's distribution. Otherwise the token is drawn from max(0, p - q), renormalised. If all
guesses are kept, one more token is drawn from p after the last. Whatever q is, the tokens follow p:
x comes with probability q(x) · min(1, p(x) / q(x)) = min(p(x), q(x)) as a kept guess, and the rest
of p(x) is drawn in place of rejected guesses.

A guess without alternatives (``prompt_lookup``, or a greedy request) has q(x) = 1: it is kept with
probability p(x), and otherwise the token is drawn from p without x. That is the same as drawing
from p as always and comparing the result with x, and gives the very tokens that come without
guesses. In either case a guess is kept if it equals the token drawn in its place, so the engine
compares the two and need not know which rule drew it.

Shapes: N guesses, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.generate.sampling.random_numbers import land


@dataclass(frozen=True, slots=True)
class Guesses:
    """Guesses to be checked: their rows in the draw (N,) and tokens (N,), both int64, and the
    probabilities (N, V) that they were drawn from."""

    rows_N: Tensor
    tokens_N: Tensor
    draft_probs_NV: Tensor


def draw_or_keep(
    guesses_N: Tensor, draft_probs_NV: Tensor, target_NV: Tensor, chances_N: Tensor, darts_N: Tensor
) -> Tensor:
    """The token in the place of each guess, int64 (N,): the guess itself if it is kept.

    ``guesses_N`` were drawn from ``draft_probs_NV``; the result follows ``target_NV``, the model's
    probabilities after everything the request asks for. ``chances_N`` and ``darts_N`` are uniform
    numbers in [0, 1), independent of each other and of those the guesses were drawn with. Up to
    rounding, a token drawn in place of a rejected guess is never that guess.
    """
    at_N1 = guesses_N[:, None]
    p_N, q_N = target_NV.gather(1, at_N1)[:, 0], draft_probs_NV.gather(1, at_N1)[:, 0]
    # u < p/q without the division; u is below 1, so that p >= q always stands and p = 0 never.
    stands_N = chances_N * q_N < p_N
    lacking_NV = (target_NV - draft_probs_NV).clamp_(min=0)
    # Only through rounding can a guess be rejected with nothing left to draw instead.
    weights_NV = torch.where(lacking_NV.any(1, keepdim=True), lacking_NV, target_NV)
    drawn_N1, _ = land(weights_NV, darts_N)
    return torch.where(stands_N, guesses_N, drawn_N1[:, 0])
