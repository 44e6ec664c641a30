"""The published objectives of learning from reward, as values of the options that we have.

All of them start from the same completions and rewards. They differ in four places:

    advantage       what a reward is compared with, and what the difference is divided by
    ratio           of each token, or of the whole completion
    bounds          what happens to a ratio that is far from 1
    normalisation   what the sum over tokens is divided by

so that the same group under each of them shows what a change does. The values are the presets of
docs/REWARDS.md, which names the papers, without the divergence from a reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import get_args

from glassmind.serialization import decode
from glassmind.train.objectives.policy.advantages import Advantage
from glassmind.train.objectives.policy.options import PolicyOptions


@dataclass(frozen=True)
class PolicyObjective:
    """A way to turn the rewards of a group into a loss. ``short`` is its name in a narrow table."""

    name: str
    short: str
    advantage: Advantage
    options: PolicyOptions


def published(longest: int) -> tuple[PolicyObjective, ...]:
    """The published objectives, without their divergence from a reference.

    ``longest`` is the constant length of Dr. GRPO: the most tokens that a completion may have.
    """
    return (
        PolicyObjective("GRPO", "GRPO", "grpo", PolicyOptions(normalisation="sequence")),
        PolicyObjective(
            "Dr. GRPO",
            "Dr.GRPO",
            "dr-grpo",
            PolicyOptions(normalisation="constant", constant_length=longest),
        ),
        PolicyObjective("DAPO", "DAPO", "grpo", PolicyOptions(clip_high=0.28)),
        PolicyObjective(
            "GSPO",
            "GSPO",
            "grpo",
            PolicyOptions(
                ratio="sequence", clip_low=3e-4, clip_high=4e-4, normalisation="sequence"
            ),
        ),
        PolicyObjective(
            "CISPO", "CISPO", "grpo", PolicyOptions(surrogate="cispo", clip_low=1.0, clip_high=4.0)
        ),
        PolicyObjective(
            "RLOO",
            "RLOO",
            "rloo",
            PolicyOptions(
                clip_low=1.0,
                clip_high=math.inf,
                normalisation="constant",
                constant_length=longest,
            ),
        ),
        PolicyObjective("REINFORCE++", "RF++", "reinforce++", PolicyOptions()),
    )


def of_recipe(options: Mapping[str, object], longest: int) -> PolicyObjective:
    """The objective of a run, from the table ``[options]`` of its recipe.

    Raises:
        UserError: a value of the table is none that the objective has.
    """
    own = {field.name for field in fields(PolicyOptions)}
    chosen = {key: value for key, value in options.items() if key in own}
    policy = decode(PolicyOptions, chosen, "the run's recipe: options")
    if not policy.constant_length:
        policy = replace(policy, constant_length=longest)
    known: tuple[Advantage, ...] = get_args(Advantage)
    advantage = next((kind for kind in known if kind == options.get("advantage")), known[0])
    return PolicyObjective("this run", "run", advantage, policy)
