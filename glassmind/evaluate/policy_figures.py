"""What a step of learning from reward adds to its line of ``metrics.jsonl``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

_REWARD = "reward_"


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """The figures of the set of samples that a step was taken on, and of the step.

    ``reward`` is the mean reward and ``rewards`` its parts; ``solve_rate`` is the share of right
    answers by exact grading, ``informative`` the share of groups whose rewards differ, ``length``
    the mean number of tokens and ``truncated`` the share of completions that were cut off.
    ``entropy`` and ``kl`` are nats per token. ``clipped`` is the share of tokens whose ratio is
    clipped, ``ratio_far`` of those whose probability has at least doubled or halved since they were
    sampled. ``ratio_first`` and ``logprob_diff`` are the largest differences from 1, and between
    sampler and trainer, on a first pass. ``watched`` is the share of watched problems that are
    solved greedily.
    """

    reward: float | None = None
    solve_rate: float | None = None
    informative: float | None = None
    length: float | None = None
    truncated: float | None = None
    entropy: float | None = None
    kl: float | None = None
    clipped: float | None = None
    clipped_low: float | None = None
    clipped_high: float | None = None
    ratio_far: float | None = None
    ratio_first: float | None = None
    logprob_diff: float | None = None
    watched: float | None = None
    sampling_tokens_per_second: float | None = None
    learning_tokens_per_second: float | None = None
    rewards: dict[str, float | None] = field(default_factory=dict)


def policy_values(row: Mapping[str, object]) -> dict[str, object] | None:
    """The values of ``PolicyFigures`` in a line; ``None`` for a line of another kind of training.

    They stand there side by side with those of every training.
    """
    if "informative" not in row:  # what only groups of rewarded completions have
        return None
    own = {each.name for each in fields(PolicyFigures)} - {"rewards"}
    rewards = {
        key.removeprefix(_REWARD): value for key, value in row.items() if key.startswith(_REWARD)
    }
    return {key: value for key, value in row.items() if key in own} | {"rewards": rewards}


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The settings of a recipe that a diagnosis names: the tables ``options``, ``sampling`` and
    ``train``."""

    options: Mapping[str, object] = field(default_factory=dict)
    sampling: Mapping[str, object] = field(default_factory=dict)
    train: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of_recipe(cls, text: str | None) -> PolicySettings:
        """Those of a recipe's text; none of one that is missing or damaged. A ladder has the
        options of its last rung."""
        try:
            values = tomllib.loads(text or "")
        except tomllib.TOMLDecodeError:
            return cls()
        last = values.get("reinforce")
        if isinstance(last, dict) and last.get("on"):
            values |= {name: last.get(name) for name in ("options", "train")}
        tables = [values.get(name) for name in ("options", "sampling", "train")]
        return cls(*(table if isinstance(table, dict) else {} for table in tables))

    def number(self, name: str, usual: float) -> float:
        """A number of ``options``, or ``usual`` where it is missing."""
        value = self.options.get(name, usual)
        return float(value) if isinstance(value, int | float) else usual
