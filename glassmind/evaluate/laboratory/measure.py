"""The expected gradient of an estimator, its variance, and how they compare with the truth.

For every draw the code that trains is run as it stands: ``advantages`` on the draw's rewards,
``policy_terms`` on its log-probabilities, ``term_shares`` for the mean. What autograd says about
the log-probabilities is, times their own gradients, the gradient that this draw would give:

    g = - Σ over the draw's tokens of  (∂ loss / ∂ log π(y_t)) ∇ log π(y_t)

All draws are put behind each other in one call, as so many completions, and told apart afterwards.
Weighted by the draws' probabilities the g add up to the expectation, without any noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.evaluate.laboratory.draws import Draws, draws
from glassmind.evaluate.laboratory.estimators import Estimator
from glassmind.evaluate.laboratory.toy import QUESTIONS
from glassmind.evaluate.laboratory.world import World
from glassmind.train.objectives.gae import generalised_advantages
from glassmind.train.objectives.policy.advantages import Advantage, advantages
from glassmind.train.objectives.policy.divergence import divergence
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.terms import policy_terms, term_shares

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_NOTHING = 1e-9
"""A gradient that is shorter than this, relative to the true one, is none."""


@dataclass(frozen=True)
class Measured:
    """What an estimator's expected gradient is, compared with the true gradient t.

    ``length`` is |E[g]| / |t| and ``cosine`` that of the angle between them, ``None`` if E[g] is 0.
    ``bias`` is |E[g] - t| / |t|, and ``bias_error`` its standard error where draws are random.
    ``completions`` is how many must be sampled until the noise (the root of the mean squared
    distance from E[g]) is as large as the part along t; ``None`` if there is no such part.
    """

    name: str
    section: str
    says: str
    length: float
    cosine: float | None
    bias: float
    bias_error: float
    completions: float | None
    exact: bool

    @property
    def scale(self) -> float:
        """The length of E[g] along t, in lengths of t."""
        return self.length * (self.cosine or 0.0)


def truth(world: World, estimator: Estimator) -> Floats:
    """The gradient that the estimator claims to estimate, (P,): of E[R] - kl · KL(π || π_ref)."""
    reward_C = world.toy.rewards_CK @ np.array(estimator.weights)
    return world.reward_gradient(reward_C) - estimator.options.kl * world.divergence_gradient()


def measure(
    world: World, estimator: Estimator, *, group: int, samples: int, seed: int = 0
) -> Measured:
    """The estimator with groups of ``group`` completions; where there are too many draws to
    enumerate, of ``samples`` random ones."""
    generator = np.random.default_rng(seed)
    probability_C = world.probabilities(estimator.sampler)
    together = [range(len(QUESTIONS))] if estimator.over_the_batch else [[0], [1]]
    means, squares, exact, sampled = [], [], True, 0.0
    for questions in together:
        choices_QC = np.stack([world.toy.of_question(q) for q in questions])
        drawn = draws(choices_QC, probability_C[choices_QC], group, samples, generator)
        rounds_Q = np.ones(len(questions))
        if estimator.again:
            drawn, rounds_Q = _with_spread(world, estimator, drawn)
        mean_N, second = _moments(world, estimator, drawn)
        means.append(mean_N)
        squares.append(second - float(np.square(mean_N @ world.score_NP).sum()))
        exact = exact and drawn.exact
        sampled += group * float(rounds_Q.sum())
    expected_P = np.mean(means, 0) @ world.score_NP
    variance = max(0.0, float(np.sum(squares))) / len(together) ** 2
    true_P = truth(world, estimator)
    size, length = float(np.linalg.norm(true_P)), float(np.linalg.norm(expected_P))
    along = float(expected_P @ true_P) / size
    here = length > _NOTHING * size
    return Measured(
        name=estimator.name,
        section=estimator.section,
        says=estimator.says,
        length=length / size if here else 0.0,
        cosine=max(-1.0, min(1.0, along / length)) if here else None,
        bias=float(np.linalg.norm(expected_P - true_P)) / size,
        bias_error=0.0 if exact else (variance / samples) ** 0.5 / size,
        completions=sampled * variance / along**2 if here and along > 0 else None,
        exact=exact,
    )


def _with_spread(world: World, estimator: Estimator, drawn: Draws) -> tuple[Draws, Floats]:
    """The draws in which no group has equal rewards, with what their probabilities then are; and
    how often the group of each question is drawn until it has a spread, on average."""
    reward_C = world.toy.rewards_CK @ np.array(estimator.weights)
    spread_DQ = np.ptp(reward_C[drawn.members_DQG], axis=2) > 0
    kept_D = spread_DQ.all(1)
    probability_D = drawn.probability_D[kept_D]
    kept = Draws(drawn.members_DQG[kept_D], probability_D / probability_D.sum(), drawn.exact)
    return kept, 1 / (drawn.probability_D @ spread_DQ)


def _moments(world: World, estimator: Estimator, drawn: Draws) -> tuple[Floats, float]:
    """The mean over draws of their gradients, as weights of the choices (N,), and of the squared
    lengths of these gradients."""
    toy, options = world.toy, estimator.options
    members_DM = drawn.members_DQG.reshape(len(drawn.members_DQG), -1)
    choices = toy.choices_CT[members_DM]  # (D, M, T)
    there = choices >= 0
    if estimator.mask_truncated:
        there &= toy.ended_C[members_DM][:, :, None]
    lengths_DM = there.sum(2)
    choice_N = choices[there]
    completion_N = np.repeat(np.arange(members_DM.size), lengths_DM.reshape(-1))

    logprob_N = torch.tensor(world.logprob_N)[choice_N].requires_grad_()
    sampled_N = torch.tensor(world.sampled_N[estimator.sampler])[choice_N]
    own = options.old == "trainer"  # its log-probabilities before the first update: the policy's
    terms_N = policy_terms(
        logprob_N,
        logprob_N.detach() if own else sampled_N,
        torch.tensor(_advantages(world, estimator, drawn.members_DQG)[there]),
        torch.tensor(completion_N),
        options,
        sampled_N,
        torch.tensor(world.reference_N)[choice_N],
    )
    (terms_N * _shares(lengths_DM, options)).sum().backward()
    assert logprob_N.grad is not None

    draw_N, size = there.nonzero()[0], (len(members_DM), toy.n_choices)
    flat = np.bincount(
        draw_N * toy.n_choices + choice_N, -logprob_N.grad.numpy(), minlength=size[0] * size[1]
    )
    weight_DN = flat.reshape(size)
    products_NN = world.score_NP @ world.score_NP.T
    squared_D = ((weight_DN @ products_NN) * weight_DN).sum(1)
    return drawn.probability_D @ weight_DN, float(drawn.probability_D @ squared_D)


def _shares(lengths_DM: Numbers, options: PolicyOptions) -> Tensor:
    """The shares of every draw's tokens, behind each other. They depend on the lengths alone."""
    shares = _each_kind_once(
        lengths_DM,
        lambda lengths: term_shares(np.repeat(np.arange(len(lengths)), lengths), options),
    )
    return torch.tensor(np.concatenate(shares))


def _advantages(world: World, estimator: Estimator, members_DQG: Numbers) -> Floats:
    """The advantage of every token of every draw, (D, M, T)."""
    rewards_CK, weights_K = world.toy.rewards_CK, [*estimator.weights]
    if estimator.options.kl_in_reward:
        rewards_CK = np.column_stack([rewards_CK, _divergence(world, estimator.options)])
        weights_K.append(-estimator.options.kl)
    reward_C = rewards_CK @ np.array(weights_K)
    judged = estimator.judged
    if judged == "gae":
        by_token_CT = _of_critic(world, estimator, reward_C)
        return by_token_CT[members_DQG].reshape(len(members_DQG), -1, by_token_CT.shape[1])
    if judged == "return":
        judged_DQG = reward_C[members_DQG]
    elif judged == "value":
        value_C = world.along(world.values(reward_C))[:, 0]  # before the first token
        judged_DQG = (reward_C - value_C)[members_DQG]
    else:
        kind: Advantage = judged
        judged_DQG = np.stack(
            _each_kind_once(rewards_CK[members_DQG], lambda r: advantages(r, weights_K, kind))
        )
    judged_DM = judged_DQG.reshape(len(members_DQG), -1)
    return np.repeat(judged_DM[:, :, None], world.toy.choices_CT.shape[1], axis=2)


def _divergence(world: World, options: PolicyOptions) -> Floats:
    """The estimate for each completion, summed over its tokens, (C,)."""
    far_N = divergence(
        torch.tensor(world.logprob_N), torch.tensor(world.reference_N), options.kl_estimator
    )
    total: Floats = world.along(far_N.numpy()).sum(1)
    return total


def _each_kind_once(
    arrays: NDArray[Any], compute: Callable[[NDArray[Any]], Floats]
) -> list[Floats]:
    """``compute`` of each array along the first axis; of equal ones only once."""
    flat = np.ascontiguousarray(arrays).reshape(len(arrays), -1)
    keys = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1])))[:, 0].tolist()
    first = {key: number for number, key in reversed(list(enumerate(keys)))}
    known = {key: compute(arrays[number]) for key, number in first.items()}
    return [known[key] for key in keys]


def _of_critic(world: World, estimator: Estimator, reward_C: Floats) -> Floats:
    """The advantage of every token of every completion, (C, T); the reward comes with the last.

    A wrong critic says ``critic_error`` too much of every other context and too little of the rest.
    """
    toy = world.toy
    error_N = np.where(toy.before_N % 2, 1.0, -1.0)
    value_N = world.values(reward_C) + estimator.critic_error * error_N
    judged_CT = np.zeros(toy.choices_CT.shape)
    for number, length in enumerate(toy.lengths_C):
        rewards_T = np.zeros(length)
        rewards_T[-1] = reward_C[number]
        values_T = value_N[toy.choices_CT[number, :length]]
        judged_CT[number, :length] = generalised_advantages(
            rewards_T, values_T, trace=estimator.trace
        )
    return judged_CT
