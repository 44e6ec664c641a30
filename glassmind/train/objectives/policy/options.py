"""The switches of learning from reward. docs/REWARDS.md has the values that each paper chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["token", "sequence"]
Surrogate = Literal["clip", "cispo"]
Normalisation = Literal["sequence", "token", "constant"]
KLEstimator = Literal["k1", "k2", "k3"]
KLPlace = Literal["loss", "reward"]
OldPolicy = Literal["sampler", "trainer"]
Correction = Literal["none", "truncate", "mask"]


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """How the loss of a token follows from its log-probabilities and its advantage.

    ``ratio`` is that of each token (GRPO) or of the whole completion (GSPO). It is compared with
    the bounds ``1 - clip_low`` and ``1 + clip_high``; ``surrogate`` says what is done at them
    (``terms``). A ``clip_low`` of 1 with a ``clip_high`` of ``inf`` clips nothing.

    ``normalisation`` chooses the mean that makes the terms of a batch one number (``terms``).
    ``constant_length`` is L in ``constant``: tokens, the same for the whole run.

    ``kl`` is the weight of the distance from the model at the start of the run, measured by
    ``kl_estimator`` (``divergence``). ``kl_place`` adds it to the loss, or subtracts it from the
    reward. ``kl_ratio`` multiplies it in the loss by the ratio of its token, with a gradient.

    ``old`` are the log-probabilities below the ratio: those with which the engine sampled, or the
    trainer's own, of its first pass over the samples. With the trainer's, ``correction`` weighs a
    completion by what the sampler's probability was too small or too large: the weight π_old /
    π_sampler of each token or, by ``correction_level``, of the whole sequence, is truncated at
    ``correction_high`` (TIS), or masked, that is set to 0, outside of ``correction_low`` and
    ``correction_high`` (MIS).

    Raises:
        ValueError: a value is out of range, or two switches contradict each other.
    """

    ratio: Level = "token"
    surrogate: Surrogate = "clip"
    clip_low: float = 0.2
    clip_high: float = 0.2
    normalisation: Normalisation = "token"
    constant_length: int = 0
    kl: float = 0.0
    kl_estimator: KLEstimator = "k3"
    kl_place: KLPlace = "loss"
    kl_ratio: bool = False
    old: OldPolicy = "sampler"
    correction: Correction = "none"
    correction_level: Level = "token"
    correction_low: float = 0.0
    correction_high: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.clip_low <= 1 or not self.clip_high > 0 or not self.kl >= 0:
            raise ValueError("clip_low must be in (0, 1], clip_high above 0, and kl 0 or above")
        if self.constant_length < 0:
            raise ValueError(f"constant_length must be 0 or above, not {self.constant_length}")
        if not 0 <= self.correction_low < self.correction_high:
            raise ValueError(
                "correction_low must be 0 or above and below correction_high, not "
                f"{self.correction_low} and {self.correction_high}"
            )
        if self.correction != "none" and self.old == "sampler":
            raise ValueError(
                "correction weighs the trainer's probabilities against the sampler's, and with old "
                '= "sampler" there is nothing between them: set old = "trainer"'
            )
        if self.kl_ratio and self.kl_place == "reward":
            raise ValueError('kl_ratio is for kl_place = "loss": a reward has no gradient')

    @property
    def kl_in_loss(self) -> bool:
        """Whether the loss has a term of its own for the divergence."""
        return self.kl > 0 and self.kl_place == "loss"

    @property
    def kl_in_reward(self) -> bool:
        """Whether rewards are lowered by the divergence."""
        return self.kl > 0 and self.kl_place == "reward"
