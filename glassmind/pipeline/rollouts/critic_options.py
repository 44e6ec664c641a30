"""``[options]`` of a recipe with ``objective = "ppo"``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glassmind.pipeline.rollouts.options import RolloutOptions
from glassmind.train.objectives.policy.options import KLEstimator, KLPlace

Critic = Literal["own", "shared"]


@dataclass(frozen=True, kw_only=True)
class PPOOptions(RolloutOptions):
    """``RolloutOptions``, and what the critic needs.

    A set of samples is divided into ``mini_batches``, each of which makes one step, and this is
    done ``passes`` times.

    ``critic`` is a head on a transformer of its ``own``, which starts as a copy of the policy, or
    on the one that it ``shared`` with the policy. ``value_weight`` is the weight of its loss, and
    ``value_clip`` how far a value may move on one set of samples (0: not limited).
    ``discount`` and ``trace`` are γ and λ of ``gae``; ``whiten`` gives the advantages of a set mean
    0 and standard deviation 1.

    The divergence from the model at the start, with the weight ``kl``, is a reward of each token.
    A ``kl_target`` above 0 (nats per completion) changes that weight from set to set
    (``policy.kl_control``).

    Raises:
        ValueError: a value is out of range, or two options contradict each other.
    """

    questions: int = 128
    group: int = 1
    passes: int = 2
    mini_batches: int = 2
    critic: Critic = "own"
    value_weight: float = 0.5
    value_clip: float = 0.2
    discount: float = 1.0
    trace: float = 1.0
    whiten: bool = True
    kl_estimator: KLEstimator = "k1"
    kl_place: KLPlace = "reward"
    kl_target: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mini_batches < 1:
            raise ValueError(f"mini_batches must be at least 1, not {self.mini_batches}")
        if not self.value_weight > 0 or not self.value_clip >= 0:
            raise ValueError("value_weight must be above 0, and value_clip 0 or above")
        if not 0 < self.discount <= 1 or not 0 <= self.trace <= 1:
            raise ValueError("discount must be in (0, 1], and trace in [0, 1]")
        if self.kl_target and not (self.kl_target > 0 and self.kl_in_reward):
            raise ValueError(
                "kl_target must be 0 or above, and above 0 it changes the weight of a divergence "
                'in the reward: set kl above 0 and kl_place = "reward"'
            )
        if self.old == "trainer" and self.mini_batches > 1:
            raise ValueError(
                "the trainer's own log-probabilities are known after the first step, when the "
                'policy has moved: set mini_batches to 1, or old = "sampler"'
            )
        if self.resample and self.group < 2:
            raise ValueError(
                "resample compares completions of one question: set group to 2 or more"
            )
