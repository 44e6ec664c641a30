"""The loss of every sampled token, and the weights that make them one number.

    L = Σ_t share_t · [ w_t · policy_t  +  kl · divergence_t ]

    clip    policy_t = - min(ρ_t A, clip(ρ_t, 1 - clip_low, 1 + clip_high) A)
    cispo   policy_t = - sg[clip(ρ_t, 1 - clip_low, 1 + clip_high)] · A · log π(y_t)

ρ is the ratio of the token or of its completion, w the correction (``ratios``), A the advantage and
sg stops the gradient. *clip* is PPO's (Schulman et al. 2017, arXiv 1707.06347): beyond the bound in
the direction of the advantage, a token has no gradient. *cispo* (MiniMax 2025, 2506.13585) bounds
the weight of a token and never its gradient, so that rare words that start a new thought keep
theirs.

The shares are those of a mean:

    sequence   1 / (tokens of its completion · completions)      GRPO, GSPO
    token      1 / tokens                                        DAPO
    constant   1 / (constant_length · completions)               Dr. GRPO

With *sequence*, a token of a long completion counts less, so long wrong completions are punished
less for each of their tokens. *constant* prefers no length. Numbers of tokens and completions are
those of the whole step: ``Objective.weight`` sees to that where a step is several batches.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.train.objectives.policy.divergence import divergence
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.ratios import (
    bounded_correction,
    log_ratios,
    log_weights,
)


def policy_terms(
    logprob_N: Tensor,
    old_N: Tensor,
    advantage_N: Tensor,
    completion_N: Tensor,
    options: PolicyOptions,
    sampled_N: Tensor | None = None,
    reference_N: Tensor | None = None,
) -> Tensor:
    """The bracket above for each of N sampled tokens, (N,). The loss is their sum times
    ``term_shares``.

    ``logprob_N``, ``old_N``, ``sampled_N`` and ``reference_N`` are log-probabilities (nats) of the
    tokens under the policy, which has the gradient, under it before the first update, under the
    sampler and under the reference; ``advantage_N`` is that of each token's completion and
    ``completion_N`` its number, from 0.

    Raises:
        ValueError: the options need the sampler's or the reference's log-probabilities.
    """
    ratio_N = log_ratios(logprob_N - old_N, completion_N, options.ratio).exp()
    bounded_N = ratio_N.clamp(1 - options.clip_low, 1 + options.clip_high)
    if options.surrogate == "cispo":
        terms_N = -bounded_N.detach() * advantage_N * logprob_N
    else:
        terms_N = -torch.minimum(ratio_N * advantage_N, bounded_N * advantage_N)
    if options.correction != "none":
        if sampled_N is None:
            raise ValueError("the correction needs the sampler's log-probabilities")
        log_N = log_weights(old_N, sampled_N, completion_N, options.correction_level)
        terms_N = terms_N * bounded_correction(log_N, options)
    if options.kl_in_loss:
        if reference_N is None:
            raise ValueError("the divergence needs the reference's log-probabilities")
        far_N = divergence(logprob_N, reference_N, options.kl_estimator)
        if options.kl_ratio:
            far_N = far_N * (logprob_N - old_N).exp()
        terms_N = terms_N + options.kl * far_N
    return terms_N


def clipped(
    logprob_N: Tensor,
    old_N: Tensor,
    advantage_N: Tensor,
    completion_N: Tensor,
    options: PolicyOptions,
) -> tuple[Tensor, Tensor]:
    """Which tokens are at the lower and at the upper bound of their ratio, two masks (N,).

    With *clip* these are the tokens without a gradient: below the lower bound with a negative
    advantage, above the upper one with a positive advantage.
    """
    ratio_N = log_ratios(logprob_N - old_N, completion_N, options.ratio).exp()
    low_N, high_N = ratio_N < 1 - options.clip_low, ratio_N > 1 + options.clip_high
    if options.surrogate == "cispo":
        return low_N, high_N
    return low_N & (advantage_N < 0), high_N & (advantage_N > 0)


def term_shares(completion_N: NDArray[np.int64], options: PolicyOptions) -> NDArray[np.float64]:
    """The share of each of the N tokens in the loss, (N,); see above.

    Raises:
        ValueError: the normalisation is *constant* and ``constant_length`` is not set.
    """
    if not len(completion_N):
        return np.zeros(0)
    lengths_C = np.bincount(completion_N)
    completions = int(np.count_nonzero(lengths_C))
    if options.normalisation == "sequence":
        return 1 / (lengths_C[completion_N] * completions)
    terms = len(completion_N)
    if options.normalisation == "constant":
        if not options.constant_length:
            raise ValueError("the normalisation constant needs constant_length")
        terms = completions * options.constant_length
    return np.full(len(completion_N), 1 / terms)
