"""Estimates of the divergence from a reference, KL(π || π_ref), from sampled tokens.

With d = log π_ref(y) - log π(y) at a token y ~ π (Schulman 2020, "Approximating KL divergence"):

    k1 = -d              unbiased, often negative
    k2 = d² / 2          biased, and close to it where the two are close
    k3 = e^d - d - 1     unbiased, never negative

As *values* k1 and k3 are right on average. As *losses* they are not what they seem, since a loss is
differentiated and the sampling is not (arXiv 2506.09477, 2512.21852). With ∇ = ∇ log π(y), the
expected gradient, at the policy that sampled, is

    in the loss     k1    E[∇] = 0: no regularisation at all
                    k2    E[-d ∇] = the gradient of KL(π || π_ref): right
                    k3    E[(1 - e^d) ∇] = the gradient of KL(π_ref || π): that of the other
                          divergence. It is published (GRPO) and bounded where π_ref is small
    in the reward   k1    E[-d ∇] = the gradient of KL(π || π_ref): right
                    k2, k3  not that of any divergence: their own change with π is missing

Multiplied by the ratio ρ = π / π_old *with its gradient*, k1 and k3 in the loss have the gradient
of KL(π || π_ref), also after updates (``kl_ratio``); k2 has not. Near the reference, k2 and k3 in
the loss and k1 in the reward agree to first order.
"""

from __future__ import annotations

from torch import Tensor

from glassmind.train.objectives.policy.options import KLEstimator


def divergence(logprob_N: Tensor, reference_N: Tensor, estimator: KLEstimator) -> Tensor:
    """The estimate at each token (N,), in nats, with the gradient that it has as a formula.

    ``logprob_N`` and ``reference_N`` are the log-probabilities of the same N tokens.
    """
    behind_N = reference_N - logprob_N
    if estimator == "k1":
        return -behind_N
    if estimator == "k2":
        return behind_N.square() / 2
    return behind_N.exp() - behind_N - 1
