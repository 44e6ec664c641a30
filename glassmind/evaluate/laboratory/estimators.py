"""The estimators that are compared, as data: what each samples, compares and normalises.

An estimator is a row of the options that a training run has (``PolicyOptions``, the kinds of
advantage), and a sampler. ``Estimator.truth`` is what it claims to estimate: the gradient of the
expected reward, or of minus the divergence from a reference, or both.

Two kinds of advantage are not estimated from a group, because here everything is known: ``return``
is the reward alone (REINFORCE: Williams 1992), and ``value`` subtracts the expected reward of the
question. ``gae`` takes the exact value of every beginning of a completion, or one that is wrong by
``critic_error``, and ``trace`` for λ.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from glassmind.train.objectives.policy.advantages import Advantage
from glassmind.train.objectives.policy.options import PolicyOptions

Sampler = Literal["policy", "stale", "nucleus", "drift"]
Judged = Advantage | Literal["return", "value", "gae"]

TOP_P, CRITIC_ERROR = 0.8, 0.3

SECTIONS = {
    "reward": "The expected reward, sampled from the policy itself",
    "critic": "PPO: advantages from a critic",
    "divergence": "The divergence from a reference alone, without a reward",
    "stale": "Samples of an older policy",
    "mismatch": "Samples of a program that computes other probabilities than the trainer",
    "several": "Two rewards: right, and 0.2 for coming to an end",
}


def _summed(**changes: object) -> PolicyOptions:
    """A sum over tokens, a mean over completions, nothing clipped: what theory speaks of."""
    base: dict[str, object] = {
        "normalisation": "constant",
        "constant_length": 1,
        "clip_low": 1.0,
        "clip_high": inf,
    }
    return PolicyOptions(**(base | changes))  # type: ignore[arg-type]  # names of its own fields


SUM = _summed()


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A row of the table. ``says`` is what a reader should take from it.

    ``weights`` are those of the toy's rewards. ``again`` draws groups without any difference in
    reward again (DAPO's dynamic sampling). ``mask_truncated`` learns nothing from completions that
    were cut off.
    """

    name: str
    section: str
    says: str
    judged: Judged = "rloo"
    options: PolicyOptions = SUM
    weights: tuple[float, float] = (1.0, 0.0)
    sampler: Sampler = "policy"
    again: bool = False
    mask_truncated: bool = False
    trace: float = 1.0
    critic_error: float = 0.0

    @property
    def over_the_batch(self) -> bool:
        """Whether the gradient of a question's group depends on the other questions."""
        of_batch = ("reinforce++", "reinforce++-baseline", "gdpo")
        return self.judged in of_batch or self.options.normalisation == "token"


_NO_REWARD = (0.0, 0.0)
_BOTH = (1.0, 0.2)


def estimators() -> list[Estimator]:
    """All rows, in the order of the table."""
    return [*_rewards(), *_critics(), *_divergences(), *_stale(), *_mismatch(), *_several()]


def _rewards() -> list[Estimator]:
    def row(name: str, says: str, judged: Judged = "rloo", **rest: object) -> Estimator:
        return Estimator(name=name, section="reward", says=says, judged=judged, **rest)  # type: ignore[arg-type]

    sequence, token = PolicyOptions(normalisation="sequence"), PolicyOptions(normalisation="token")
    return [
        row("REINFORCE", "unbiased, and noisy", "return"),
        row("REINFORCE, exact baseline", "unbiased, less noise", "value"),
        row("RLOO", "unbiased: the baseline leaves the completion out", "rloo"),
        row("group mean as baseline", "shrunk by 1 - 1/G, same direction", "dr-grpo"),
        row("Dr. GRPO", "the same divided by the constant length", "dr-grpo",
            options=_summed(constant_length=3)),
        row("group mean and deviation", "weighs questions by their spread", "grpo"),
        row("RLOO, mean over a completion", "long completions count less for each token", "rloo",
            options=sequence),
        row("RLOO, mean over tokens", "a batch of long completions counts less", "rloo",
            options=token),
        row("GRPO", "both biases: spread and length", "grpo", options=sequence),
        row("DAPO", "spread, and the batch's length", "grpo",
            options=PolicyOptions(normalisation="token", clip_high=0.28)),
        row("DAPO, dynamic sampling", "groups without spread are drawn again", "grpo", again=True,
            options=PolicyOptions(normalisation="token", clip_high=0.28)),
        row("GSPO", "before an update the same as GRPO", "grpo",
            options=PolicyOptions(
                ratio="sequence", normalisation="sequence", clip_low=3e-4, clip_high=4e-4)),
        row("CISPO", "before an update the same as DAPO", "grpo",
            options=PolicyOptions(surrogate="cispo", normalisation="token")),
        row("RLOO, cut completions masked", "never learns that it should have ended",
            mask_truncated=True),
        row("REINFORCE++", "compares answers to different questions", "reinforce++"),
        row("REINFORCE++ with baseline", "the batch's deviation: one factor for all questions",
            "reinforce++-baseline"),
    ]  # fmt: skip


def _critics() -> list[Estimator]:
    def row(name: str, says: str, trace: float, error: float) -> Estimator:
        return Estimator(
            name=name, section="critic", says=says, judged="gae", trace=trace, critic_error=error
        )

    return [
        row("exact critic, λ = 1", "unbiased", 1.0, 0.0),
        row("exact critic, λ = 0.95", "unbiased, less noise", 0.95, 0.0),
        row("exact critic, λ = 0", "unbiased, least noise", 0.0, 0.0),
        row("wrong critic, λ = 1", "unbiased: values only shift the noise", 1.0, CRITIC_ERROR),
        row("wrong critic, λ = 0.95", "a little of the critic's mistake", 0.95, CRITIC_ERROR),
        row("wrong critic, λ = 0", "all of the critic's mistake", 0.0, CRITIC_ERROR),
    ]


def _divergences() -> list[Estimator]:
    def row(name: str, says: str, **changes: object) -> Estimator:
        return Estimator(
            name=name,
            section="divergence",
            says=says,
            weights=_NO_REWARD,
            options=_summed(kl=1.0, **changes),
        )

    return [
        row("k1 in the loss", "no gradient at all", kl_estimator="k1"),
        row("k2 in the loss", "does not see what a token leads to", kl_estimator="k2"),
        row("k3 in the loss", "the other divergence, KL(π_ref || π)", kl_estimator="k3"),
        row("k1 in the loss, with the ratio", "as k2", kl_estimator="k1", kl_ratio=True),
        row(
            "k3 in the loss, with the ratio", "as k2, less noise", kl_estimator="k3", kl_ratio=True
        ),
        row("k1 in the reward", "unbiased", kl_estimator="k1", kl_place="reward"),
        row("k2 in the reward", "no divergence's gradient", kl_estimator="k2", kl_place="reward"),
        row("k3 in the reward", "no divergence's gradient", kl_estimator="k3", kl_place="reward"),
    ]


def _stale() -> list[Estimator]:
    def row(name: str, says: str, **changes: object) -> Estimator:
        return Estimator(
            name=name, section="stale", says=says, sampler="stale", options=_summed(**changes)
        )

    whole = {"old": "trainer", "correction_level": "sequence", "correction_high": inf}
    return [
        row("not corrected", "the gradient of another policy", old="trainer"),
        row("ratios of tokens, not clipped", "ignores how likely the beginning was"),
        row("PPO's clip, 0.2", "tokens that went far enough are left out",
            clip_low=0.2, clip_high=0.2),
        row("clip-higher, 0.2 and 0.28", "unlikely tokens may grow further",
            clip_low=0.2, clip_high=0.28),
        row("GSPO's ratio, not clipped", "a mean, not the completion's probability",
            ratio="sequence"),
        row("CISPO, 1 ± 0.2", "bounded weights, no token left out", surrogate="cispo",
            clip_low=0.2, clip_high=0.2),
        row("CISPO, at most 1.2", "no lower bound", surrogate="cispo", clip_high=0.2),
        row("weight of the completion", "unbiased, and noisy", correction="truncate", **whole),
        row("the same, at most 2", "less noise for a little bias",
            correction="truncate", **(whole | {"correction_high": 2.0})),
    ]  # fmt: skip


def _mismatch() -> list[Estimator]:
    def row(name: str, says: str, sampler: Sampler, **changes: object) -> Estimator:
        options = _summed(**({"old": "trainer", "correction_high": 2.0} | changes))
        return Estimator(name=name, section="mismatch", says=says, sampler=sampler, options=options)

    token: dict[str, object] = {"correction": "truncate", "correction_level": "token"}
    sequence: dict[str, object] = {"correction": "truncate", "correction_level": "sequence"}
    return [
        row("small errors, not corrected", "nearly right", "drift"),
        row("small errors, weight of tokens", "nearer", "drift", **token),
        row("small errors, weight of completions", "unbiased below the bound", "drift", **sequence),
        row(f"top-p {TOP_P}, not corrected", "unlikely tokens are never seen", "nucleus"),
        row(f"top-p {TOP_P}, weight of tokens", "no weight brings back what was cut off",
            "nucleus", **token),
        row(f"top-p {TOP_P}, weight of completions", "nor this one", "nucleus", **sequence),
    ]  # fmt: skip


def _several() -> list[Estimator]:
    def row(name: str, says: str, judged: Judged) -> Estimator:
        return Estimator(name=name, section="several", says=says, judged=judged, weights=_BOTH)

    return [
        row("RLOO of the sum", "unbiased", "rloo"),
        row(
            "GRPO's advantage of the sum",
            "groups that differ in the small one count in full",
            "grpo",
        ),
        row("GDPO", "each reward is divided by its own spread, then weighed", "gdpo"),
    ]
