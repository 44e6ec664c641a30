"""Whether a guess stands, so that guessing changes how fast tokens come, not which are likely.

A small batch spends its time on reading the weights from memory, so a pass over G + 1 tokens costs
hardly more than one over a single token. So something cheap guesses G tokens, one pass of the model
gives the probabilities in the place of each and behind the last, and a rule says how many stand.

The rule (Leviathan, Kalman & Matias 2022, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318):
where a guess x was drawn with probability q(x), it stands with probability min(1, p(x) / q(x)), p
being the model's; else the token is drawn from what q gave too little, max(0, p - q) made to sum to
1. Behind the last guess, if all stand, one more is drawn from p. Whatever q is, the tokens follow
p: x comes with probability q(x) · min(1, p(x) / q(x)) = min(p(x), q(x)) as a guess that stands, and
the rest of p(x) is what the refused guesses leave to be drawn.

A guess without alternatives (``prompt_lookup``, or a greedy request) has q(x) = 1: it stands with
probability p(x), and else p without x is drawn from. Drawing from p as always and seeing whether x
came *is* that; the tokens are then even the very ones that come without guesses. So a guess stands
where it is what was drawn in its place, by ``draw_or_keep`` or as always, and the engine need
not know how.

Shapes: N guesses, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.generate.sampling.random_numbers import land


@dataclass(frozen=True, slots=True)
class Guesses:
    """Guesses to be judged: for which rows of a draw (N,), which tokens (N,), all int64, and the
    probabilities (N, V) that they were drawn from."""

    rows_N: Tensor
    tokens_N: Tensor
    draft_probs_NV: Tensor


def draw_or_keep(
    guesses_N: Tensor, draft_probs_NV: Tensor, target_NV: Tensor, chances_N: Tensor, darts_N: Tensor
) -> Tensor:
    """The token in the place of each guess, int64 (N,): the guess itself where it stands.

    ``guesses_N`` were drawn from ``draft_probs_NV``, and the tokens shall follow ``target_NV``, the
    model's probabilities after everything the request asks for. ``chances_N`` and ``darts_N`` are
    uniform numbers in [0, 1), independent of each other and of what the guesses were drawn with.
    A token that is drawn instead of a guess is never the guess, but for rounding.
    """
    at_N1 = guesses_N[:, None]
    p_N, q_N = target_NV.gather(1, at_N1)[:, 0], draft_probs_NV.gather(1, at_N1)[:, 0]
    # u < p/q without the division; u is below 1, so that p >= q always stands and p = 0 never.
    stands_N = chances_N * q_N < p_N
    lacking_NV = (target_NV - draft_probs_NV).clamp_(min=0)
    # Only rounding can refuse a guess and yet leave nothing to draw instead.
    weights_NV = torch.where(lacking_NV.any(1, keepdim=True), lacking_NV, target_NV)
    drawn_N1, _ = land(weights_NV, darts_N)
    return torch.where(stands_N, guesses_N, drawn_N1[:, 0])
