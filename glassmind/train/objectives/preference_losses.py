"""Five losses that learn from preferences, as functions of the log-probabilities of answers.

For an answer y of |y| tokens to a prompt, let

    log π(y)  = the sum over its tokens of their log-probabilities under the model in training
    Δ(y)      = log π(y) - log π_ref(y),  the same under the reference, the model at the start
    m(y)      = log π(y) / |y|

and w, l the chosen (winning) and the rejected (losing) answer, σ the logistic function. Then

    dpo     -log σ(β (Δ(w) - Δ(l)))                         Rafailov et al. 2023, arXiv 2305.18290
    ipo     (Δ(w) - Δ(l) - 1/(2β))²                         Azar et al. 2023, 2310.12036
    kto     1 - σ(β (Δ(y) - z))  for a good answer,         Ethayarajh et al. 2024, 2402.01306
            1 - σ(β (z - Δ(y)))  for a bad one
    simpo   -log σ(β m(w) - β m(l) - γ)                     Meng et al. 2024, 2405.14734
    orpo    -m(w) - β log σ(logit(e^m(w)) - logit(e^m(l)))  Hong et al. 2024, 2403.07691

What to know about each:

``dpo``   The loss looks only at the difference, so the log-probabilities of *both* answers may
          fall (and usually do), as long as that of the rejected one falls faster. ``sft`` above 0
          adds -m(w), which holds the chosen one up (Pang et al. 2024, 2404.19733). Δ is a sum, so
          long answers move it more; ``average`` divides it by |y| (Lambert et al. 2024,
          2411.15124). With labels wrong at a known rate ε, ``label_smoothing`` = ε takes the
          expected loss, -(1-ε) log σ(h) - ε log σ(-h) (Mitchell 2023, "A note on DPO with noisy
          preferences").
``ipo``   Its β (τ in the paper) is not DPO's: 1/(2β) is the difference that is aimed at, so that
          certain preferences do not drive the model ever further from the reference. (trl divides
          Δ by the length, as its authors have heard that the paper's results do: ``average``.)
``kto``   Needs no pairs. z is the distance KL(π, π_ref), estimated as the mean Δ of answers to
          *other* prompts (of the answers themselves it would measure what was learned), without
          gradient, and never negative. It is estimated on each batch of a process: with few
          answers in a batch it is noisy.
``simpo`` No reference is needed, but nothing holds the model near it either: few steps and small
          learning rates. β is larger than DPO's (2 to 10), because m is small; γ is a margin.
``orpo``  Fine-tuning on w, with a penalty in the same run; also without a reference. β is λ in the
          paper. The odds p / (1 - p) of a mean probability near 1 need care: 1 - p, computed as
          written, is 0 (``log_one_minus_exp``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LossName = Literal["dpo", "ipo", "kto", "simpo", "orpo"]

USUAL_BETA: dict[LossName, float] = {"dpo": 0.1, "ipo": 0.1, "kto": 0.1, "simpo": 2.0, "orpo": 0.1}
"""What the papers start from."""

REFERENCE_FREE: frozenset[LossName] = frozenset({"simpo", "orpo"})
"""Losses without Δ."""


@dataclass(frozen=True)
class PreferenceLoss:
    """A loss and its numbers, by the names of the docstring above.

    ``beta`` 0 takes the usual value of the loss, and ``margin`` (SimPO's γ) below 0 half of
    ``beta``. ``sft`` is the weight of -m of the chosen answer, or of KTO's good ones; below 0 it is
    1 for ORPO and 0 for the others. ``desirable`` and ``undesirable`` weigh KTO's good and bad
    answers; with n of each, the ratio of weight · n should lie between 1 and 4/3.
    """

    loss: LossName = "dpo"
    beta: float = 0.0
    label_smoothing: float = 0.0
    average: bool = False
    margin: float = -1.0
    sft: float = -1.0
    desirable: float = 1.0
    undesirable: float = 1.0

    def __post_init__(self) -> None:
        for name in ("beta", "desirable", "undesirable"):
            if not 0 <= getattr(self, name) <= 1e6:  # a NaN fails this too
                raise ValueError(f"{name} must lie between 0 and 1e6, not {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(
                f"label_smoothing must be at least 0 and below 0.5, not {self.label_smoothing}"
            )
        for name in ("margin", "sft"):
            if not getattr(self, name) <= 1e6:
                raise ValueError(f"{name} must be at most 1e6, not {getattr(self, name)}")
        # Written out, so that the recipe of a run shows the numbers that it was trained with.
        if self.beta == 0:
            object.__setattr__(self, "beta", USUAL_BETA[self.loss])
        if self.margin < 0:
            object.__setattr__(self, "margin", self.beta / 2 if self.loss == "simpo" else 0.0)
        if self.sft < 0:
            object.__setattr__(self, "sft", 1.0 if self.loss == "orpo" else 0.0)
        self._refuse("label_smoothing", self.label_smoothing != 0, "dpo")
        self._refuse("average", self.average, "dpo", "ipo")
        self._refuse("margin", self.margin != 0, "simpo")
        weighted = (self.desirable, self.undesirable) != (1, 1)
        self._refuse("desirable and undesirable", weighted, "kto")

    def _refuse(self, name: str, given: bool, *losses: LossName) -> None:
        if given and self.loss not in losses:
            raise ValueError(f"{name} is for loss {' or '.join(losses)}, not for {self.loss}")

    @property
    def needs_reference(self) -> bool:
        return self.loss not in REFERENCE_FREE

    @property
    def needs_pairs(self) -> bool:
        return self.loss != "kto"


@dataclass(frozen=True, slots=True)
class Answers:
    """A answers: log π (A,), log π_ref (A,) or ``None``, and numbers of tokens (A,) as floats."""

    logprob_A: Tensor
    reference_A: Tensor | None
    tokens_A: Tensor

    @property
    def mean_A(self) -> Tensor:
        """m: the mean log-probability of a token."""
        return self.logprob_A / self.tokens_A

    @property
    def ratio_A(self) -> Tensor:
        """Δ: the log-probability beyond the reference's."""
        if self.reference_A is None:
            raise ValueError("this loss needs the reference's log-probabilities")
        return self.logprob_A - self.reference_A


def implicit_reward(answers: Answers, options: PreferenceLoss) -> Tensor:
    """The reward (A,) that the loss ascribes to each answer: the chosen one's should be higher."""
    if not options.needs_reference:
        return options.beta * answers.mean_A
    ratio_A = answers.ratio_A
    return options.beta * (ratio_A / answers.tokens_A if options.average else ratio_A)


def pair_terms(chosen: Answers, rejected: Answers, options: PreferenceLoss) -> Tensor:
    """The loss (P,) of each of P pairs, for every loss but KTO."""
    if options.loss == "orpo":
        odds_P = log_odds(chosen.mean_A) - log_odds(rejected.mean_A)
        return _with_sft(-options.beta * F.logsigmoid(odds_P), chosen, options)
    difference_P = implicit_reward(chosen, options) - implicit_reward(rejected, options)
    if options.loss == "ipo":
        terms_P = (difference_P / options.beta - 1 / (2 * options.beta)) ** 2
    elif options.loss in ("dpo", "simpo"):
        h_P = difference_P - options.margin
        smoothing = options.label_smoothing
        terms_P = -(1 - smoothing) * F.logsigmoid(h_P) - smoothing * F.logsigmoid(-h_P)
    else:
        raise ValueError(f"{options.loss} does not compare pairs")
    return _with_sft(terms_P, chosen, options)


def _with_sft(terms: Tensor, chosen: Answers, options: PreferenceLoss) -> Tensor:
    return terms - options.sft * chosen.mean_A if options.sft else terms


def kto_terms(answers: Answers, good_A: Tensor, z: Tensor, options: PreferenceLoss) -> Tensor:
    """KTO's loss (A,) of each answer; ``good_A`` says which are good, ``z`` is a scalar."""
    sign_A = torch.where(good_A, 1.0, -1.0)
    weight_A = torch.where(good_A, options.desirable, options.undesirable)
    terms_A = weight_A * (1 - torch.sigmoid(sign_A * options.beta * (answers.ratio_A - z)))
    return terms_A - options.sft * answers.mean_A * good_A if options.sft else terms_A


def kto_distance(mismatched: Answers) -> Tensor:
    """KTO's z: the mean Δ of answers to other prompts, at least 0, without gradient."""
    return mismatched.ratio_A.detach().mean().clamp(min=0)


def log_odds(logprob: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = e^logprob."""
    return logprob - log_one_minus_exp(logprob)


def log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 - e^x) for x ≤ 0, accurate for every x (Mächler 2012, "Accurately computing
    log(1 - exp(-|a|))"): 1 - e^x is 0 in float32 for x above -6e-8, and loses digits long before.

    At x = 0, where it is -∞, the value of a probability one in a million below 1 is taken,
    without gradient.
    """
    x = x.clamp(max=-1e-6)
    near = x > -math.log(2)
    # ``where`` computes both sides, and a NaN in the gradient of the unused one would spread.
    safe_near, safe_far = torch.where(near, x, -1.0), torch.where(near, -1.0, x)
    return torch.where(near, (-torch.expm1(safe_near)).log(), torch.log1p(-safe_far.exp()))
