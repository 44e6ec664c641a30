"""Importance ratios: the probability of a sampled token now over that when it was sampled.

    token      ρ_t = π(y_t) / π_old(y_t)             PPO: Schulman et al. 2017, arXiv 1707.06347
    sequence   s   = exp(mean over t of log ρ_t)     GSPO: Zheng et al. 2025, 2507.18071

The sequence ratio is the geometric mean of the token ratios, not their product: the product of a
hundred ratios leaves any bounds at once.

``log_weights`` are for another difference: between π_old, the trainer's probability
before the first update, and that of the program which sampled (Yao et al. 2025, "Your efficient RL
framework secretly brings you off-policy training"):

    token      w_t = π_old(y_t) / π_sampler(y_t)
    sequence   w   = exp(SUM over t of log w_t)

This is a true importance weight, so over a sequence it is the product. Truncating it (TIS) bounds
the variance; masking (MIS) drops what is out of bounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.train.objectives.policy.options import Level, PolicyOptions


def log_ratios(difference_N: Tensor, completion_N: Tensor, level: Level) -> Tensor:
    """The log of each token's ratio (N,), given ``difference_N`` = log π - log π_old.

    ``completion_N`` is the number of each token's completion, from 0. At the level ``sequence``,
    all tokens of a completion have the same ratio, whose gradient reaches all of them.
    """
    if level == "token":
        return difference_N
    sums_C = sums_of_completions(difference_N, completion_N)
    lengths_C = sums_of_completions(torch.ones_like(difference_N), completion_N)
    return (sums_C / lengths_C.clamp(min=1))[completion_N]


def log_weights(old_N: Tensor, sampled_N: Tensor, completion_N: Tensor, level: Level) -> Tensor:
    """The log of the weight w of each token (N,) as above, without gradient.

    ``old_N`` and ``sampled_N`` are log-probabilities under the trainer and under the sampler.
    """
    log_N = (old_N - sampled_N).detach()
    if level == "sequence":
        log_N = sums_of_completions(log_N, completion_N)[completion_N]
    return log_N


def bounded_correction(log_N: Tensor, options: PolicyOptions) -> Tensor:
    """The weights (N,), given their logs, truncated or masked as the options say."""
    weights_N = log_N.exp()
    if options.correction == "truncate":
        return weights_N.clamp(max=options.correction_high)
    within_N = (weights_N >= options.correction_low) & (weights_N <= options.correction_high)
    return torch.where(within_N, weights_N, 0.0)


def sums_of_completions(values_N: Tensor, completion_N: Tensor) -> Tensor:
    """The sum of each completion's values, (C,)."""
    completions = int(completion_N.max()) + 1 if completion_N.numel() else 0
    return values_N.new_zeros(completions).index_add(0, completion_N, values_N)
