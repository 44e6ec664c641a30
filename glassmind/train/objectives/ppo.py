"""Proximal policy optimisation (PPO) with a critic: learns from reward, one token at a time.

    L = Σ_t share_t · [ policy_t  +  value_weight · value_t ]

    policy_t = - min(ρ_t A_t, clip(ρ_t, 1 - clip_low, 1 + clip_high) A_t)
    value_t  = ½ max((V_t - R_t)², (clip(V_t, V_old,t - value_clip, V_old,t + value_clip) - R_t)²)

(Schulman et al. 2017, arXiv 1707.06347.) A_t is the advantage of a single token by ``gae``, R_t the
reward that was seen to come after it, and V_t what the critic expected. GRPO gives every token of a
completion the same advantage, from the comparison with other completions; PPO has no group, and
needs the critic to know what was to be expected.

The policy's half is that of ``grpo``, with all its switches. The value's clip is not in the paper,
but in the code that went with it (Engstrom et al. 2020, 2005.12729): the critic may not move far in
one set of samples either, and an error that the clip would hide still counts. A ``value_clip`` of 0
is none. Both halves are averaged over the same tokens in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.model import ActorCritic
from glassmind.train.batch import Batch, to_device
from glassmind.train.objectives.grpo import GRPO, Place, completion_numbers
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.terms import term_shares
from glassmind.train.state import Saved

OLD_VALUE = Column("old_value", "float32", 0.0)
"""What the critic expected before a token, when the set of samples was drawn."""

RETURN = Column("return", "float32", 0.0)
"""What the critic is taught to expect before a token."""


@dataclass(frozen=True)
class FirstLook:
    """What a batch is like before the first update from it: three tensors (N,) for its N sampled
    tokens. ``reference_N`` is ``None`` without a reference."""

    logprob_N: Tensor
    value_N: Tensor
    reference_N: Tensor | None


class PPO(Objective):
    """The loss above, over the columns of ``GRPO``, with an advantage of its own for each token,
    ``OLD_VALUE`` and ``RETURN``.

    ``actor`` is the policy's half: it has the reference, and records first passes.
    """

    module: ActorCritic
    largest = GRPO.largest

    def __init__(
        self,
        module: ActorCritic,
        options: PolicyOptions,
        *,
        value_weight: float = 0.5,
        value_clip: float = 0.2,
        temperature: float = 1.0,
    ) -> None:
        self.module = module
        self.actor = GRPO(module.trunk, options, temperature=temperature)
        self.value_weight, self.value_clip = value_weight, value_clip

    @property
    def saved(self) -> Mapping[str, Saved]:
        """The reference model, if there is one. The critic is a part of the module."""
        return self.actor.saved

    def weight(self, batch: Batch) -> float:
        """The number of terms of the mean: tokens or completions."""
        return self.actor.weight(batch)

    def loss(self, batch: Batch) -> Loss:
        at = batch.indices(batch.rows[COMPLETION])
        self.actor.require_repeatable(batch, at)
        hidden_ND = self.actor.hidden(self.module.trunk, batch, at)
        policy, figures = self.actor.loss_of(batch, at, hidden_ND)
        values_N, clipped_N = value_terms(
            self._values(batch, at, hidden_ND),
            batch[OLD_VALUE][at],
            batch[RETURN][at],
            self.value_clip,
        )
        shares = term_shares(completion_numbers(batch.rows), self.actor.options)
        value = (values_N * to_device(shares, values_N.device, torch.float32)).sum()
        figures |= {
            "policy_loss": policy.detach(),
            "value_loss": value.detach(),
            "value_clipped": clipped_N.float().sum() / max(len(clipped_N), 1),
        }
        return policy + self.value_weight * value, figures

    @torch.no_grad()
    def first_look(self, batch: Batch) -> FirstLook:
        """The log-probabilities and values of the sampled tokens with the weights as they are."""
        at = batch.indices(batch.rows[COMPLETION])
        hidden_ND = self.actor.hidden(self.module.trunk, batch, at)
        return FirstLook(
            self.actor.logprobs(self.module.trunk, batch, at, hidden_ND),
            self._values(batch, at, hidden_ND),
            None if self.actor.reference is None else self.actor.reference_logprobs(batch),
        )

    def _values(self, batch: Batch, at: Place, hidden_ND: Tensor) -> Tensor:
        """The critic's values (N,), from its own transformer or the policy's ``hidden_ND``."""
        if self.module.critic is not None:
            hidden_ND = self.actor.hidden(self.module.critic, batch, at)
        return self.module.values(hidden_ND)


def value_terms(
    value_N: Tensor, old_N: Tensor, return_N: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """value_t of each of N tokens, and a mask of those where the clip took the gradient, both (N,).

    ``value_N`` has the gradient; ``old_N`` are the values when the tokens were drawn.
    """
    errors_N = (value_N - return_N).square()
    if not clip:
        return errors_N / 2, torch.zeros_like(errors_N, dtype=torch.bool)
    near_N = old_N + (value_N - old_N).clamp(-clip, clip)
    clipped_N = (near_N - return_N).square()
    far_N = (value_N - old_N).abs() > clip
    return torch.maximum(errors_N, clipped_N) / 2, far_N & (clipped_N > errors_N)
