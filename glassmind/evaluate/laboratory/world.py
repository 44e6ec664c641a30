"""Everything about the toy that is known exactly: probabilities, values, and true gradients."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.evaluate.laboratory.estimators import TOP_P, Sampler
from glassmind.evaluate.laboratory.toy import (
    QUESTIONS,
    SIGNS,
    Toy,
    logprobs,
    make_policy,
    make_toy,
    move,
    scores,
)
from glassmind.generate.sampling.filters import filter_thresholds

Floats = NDArray[np.float64]

STALE, DRIFT, REFERENCE = 0.1, 0.005, 0.15
"""How far the weights of the other policies are from the policy's: standard deviations of noise
that is added to every parameter, whose own is 0.5."""


@dataclass(frozen=True)
class World:
    """The toy and its policies.

    ``logprob_N`` are the policy's log-probabilities of all choices and ``score_NP`` their
    gradients; ``sampled_N`` those of each sampler, -inf for what it never draws; ``reference_N``
    those of the model that the policy should stay near.
    """

    toy: Toy
    logprob_N: Floats
    score_NP: Floats
    sampled_N: dict[Sampler, Floats]
    reference_N: Floats

    def along(self, values_N: Floats) -> Floats:
        """Values of choices, along every completion (C, T); 0 behind its end."""
        choices_CT = self.toy.choices_CT
        return np.where(choices_CT >= 0, values_N[choices_CT], 0.0)

    def probabilities(self, sampler: Sampler) -> Floats:
        """The probability of each completion, given its question, (C,)."""
        total: Floats = np.exp(self.along(self.sampled_N[sampler]).sum(1))
        return total

    def values(self, reward_C: Floats) -> Floats:
        """The expected reward before every choice, (N,), by the policy's own probabilities."""
        toy, probability_C = self.toy, self.probabilities("policy")
        mass, worth = np.zeros(len(toy.contexts)), np.zeros(len(toy.contexts))
        for choices, length, p, reward in zip(
            toy.choices_CT, toy.lengths_C, probability_C, reward_C, strict=True
        ):
            before = toy.before_N[choices[:length]]
            mass[before] += p
            worth[before] += p * reward
        value: Floats = (worth / mass)[toy.before_N]
        return value

    def reward_gradient(self, reward_C: Floats) -> Floats:
        """The gradient of the expected reward, averaged over questions, (P,).

        ∇ E[R] = Σ_y π(y) R(y) Σ_t ∇ log π(y_t)
        """
        weight_C = self.probabilities("policy") * reward_C / len(QUESTIONS)
        return self._of_completions(weight_C)

    def divergence_gradient(self) -> Floats:
        """The gradient of KL(π || π_ref) of whole completions, averaged over questions, (P,).

        ∇ KL = Σ_y π(y) (log π(y) - log π_ref(y)) Σ_t ∇ log π(y_t)
        """
        apart_C = self.along(self.logprob_N - self.reference_N).sum(1)
        return self.reward_gradient(apart_C)

    def _of_completions(self, weight_C: Floats) -> Floats:
        """Σ over completions of their weight times the sum of their choices' gradients."""
        choices_CT = self.toy.choices_CT
        weight_N = np.zeros(self.toy.n_choices)
        np.add.at(
            weight_N,
            choices_CT[choices_CT >= 0],
            np.repeat(weight_C, self.toy.lengths_C),
        )
        gradient: Floats = weight_N @ self.score_NP
        return gradient


def make_world(seed: int) -> World:
    """The toy with a random policy, and others near it."""
    toy, policy = make_toy(), make_policy(seed)

    def elsewhere(distance: float, number: int) -> Floats:
        model = copy.deepcopy(policy)
        move(model, seed + 1000 * number, distance)
        return _numbers(logprobs(model, toy))

    own_N = _numbers(logprobs(policy, toy))
    return World(
        toy=toy,
        logprob_N=own_N,
        score_NP=_numbers(scores(policy, toy)),
        sampled_N={
            "policy": own_N,
            "stale": elsewhere(STALE, 1),
            "drift": elsewhere(DRIFT, 2),
            "nucleus": _nucleus(own_N),
        },
        reference_N=elsewhere(REFERENCE, 3),
    )


def _nucleus(logprob_N: Floats) -> Floats:
    """The log-probabilities with which top-p sampling draws, -inf for what it leaves out."""
    logprob_XV = torch.tensor(logprob_N).view(-1, len(SIGNS))
    rows = len(logprob_XV)
    threshold_X1 = filter_thresholds(
        logprob_XV,
        torch.zeros(rows, dtype=torch.long),
        torch.full((rows,), TOP_P),
        torch.zeros(rows),
    )
    kept_XV = logprob_XV.masked_fill(logprob_XV < threshold_X1, -torch.inf)
    return _numbers(kept_XV.log_softmax(-1).flatten())


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().numpy(), np.float64)
