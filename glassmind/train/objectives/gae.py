"""Generalised advantage estimation: how much better a token made things, judged by a critic.

With r_t the reward that token t brings and V_t the critic's value of the text before it, γ the
discount and λ in [0, 1] (Schulman et al. 2015, arXiv 1506.02438):

    δ_t = r_t + γ V_{t+1} - V_t          one step's surprise; V after the last token is 0
    A_t = Σ_l (γ λ)^l δ_{t+l}
    R_t = A_t + V_t                      what the critic is taught

λ = 1 gives A_t = (the rewards to come) - V_t: unbiased whatever the critic says, since V_t depends
only on what came before the token. λ = 0 gives A_t = δ_t: little noise, and as wrong as the critic.
Rewards of a language model mostly come at the end of a completion, so λ = 1 and γ = 1 are usual.

A completion that was cut at the limit ends there as well: its reward has been given, and nothing
that it might have earned is added ("no bootstrap past the end").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def generalised_advantages(
    rewards_T: NDArray[Any], values_T: NDArray[Any], *, discount: float = 1.0, trace: float = 1.0
) -> Floats:
    """The advantage A_t of each of the T tokens of one completion, (T,).

    ``rewards_T`` are the rewards of single tokens, ``values_T`` the critic's values *before* each;
    ``discount`` is γ and ``trace`` is λ.
    """
    rewards, values = np.asarray(rewards_T, np.float64), np.asarray(values_T, np.float64)
    after = np.append(values[1:], 0.0)
    surprise = rewards + discount * after - values
    advantages = np.zeros(len(rewards))
    carried = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        carried = surprise[t] + discount * trace * carried
        advantages[t] = carried
    return advantages
