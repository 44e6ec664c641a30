"""Several rewards as one: a weighted sum, written as people write it.

    parse_reward("answer + 0.2 * steps")        answer counts 1, steps 0.2
    parse_reward("answer - 0.1 * steps")        a weight may be negative

A text is a sum of terms ``weight * name``; the weight is a number, by default 1. Nothing of it is
evaluated as a program. Spaces are optional, except before a minus that follows a name, since names
contain hyphens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from glassmind.errors import UserError
from glassmind.reason.needs import Need
from glassmind.reason.reward import Reward
from glassmind.reason.reward_registry import named

LONGEST = 500
"""Characters of a text; a sum that long is a mistake."""

_TERM = re.compile(
    r"""\s*(?P<sign>[+-])?\s*
        (?:(?P<weight>\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?
        (?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)\s*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class RewardSum:
    """Rewards and the weight of each."""

    rewards: tuple[Reward, ...]
    weights: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The rewards' names, in the order of the sum."""
        return tuple(reward.name for reward in self.rewards)

    @property
    def needs(self) -> frozenset[Need]:
        """Whatever one of the rewards needs."""
        return frozenset().union(*(reward.needs for reward in self.rewards))


def parse_reward(text: str) -> RewardSum:
    """The sum that ``text`` describes.

    Raises:
        UserError: it is not a sum as above, or names a reward that does not exist or is there
            twice.
    """
    terms: dict[str, float] = {}
    at = 0
    while at < len(text) or not terms:
        found = _TERM.match(text, at)
        if len(text) > LONGEST or found is None or (bool(terms) and found["sign"] is None):
            raise UserError(
                f"the reward {text[:60]!r} is not a sum of rewards: write one, such as answer, or "
                'several with their weights, such as "answer + 0.2 * steps"'
            )
        name = named(found["name"]).name
        if name in terms:
            raise UserError(f"the reward {text[:60]!r} has {name} twice: give it one weight")
        weight = float(found["weight"] or 1.0)
        terms[name] = -weight if found["sign"] == "-" else weight
        at = found.end()
    return RewardSum(tuple(map(named, terms)), tuple(terms.values()))
