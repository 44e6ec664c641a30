"""The list of all rewards. A new one is a file in ``rewards/`` and an entry in ``_BUILT_IN``.

The rewards with holes (``reward_holes``) can be named like the others, and are listed apart.
"""

from __future__ import annotations

from glassmind.errors import UserError
from glassmind.reason.reward import Reward
from glassmind.reason.reward_holes import HOLES
from glassmind.reason.rewards import answer, reward_model, steps, verifier

_BUILT_IN = (answer.REWARD, steps.REWARD, verifier.REWARD, reward_model.REWARD)
_registry = {reward.name: reward for reward in _BUILT_IN}
_holes = {hole.name: hole.reward for hole in HOLES}


def rewards() -> tuple[Reward, ...]:
    """All rewards that are meant to be trained on."""
    return tuple(_registry.values())


def holes() -> tuple[Reward, ...]:
    """Those that can be earned without solving the problem, for study."""
    return tuple(_holes.values())


def named(name: str) -> Reward:
    """The reward of that name.

    Raises:
        UserError: there is none.
    """
    reward = _registry.get(name) or _holes.get(name)
    if reward is None:
        raise UserError(
            f"there is no reward {name[:60]!r}; the rewards are {', '.join(_registry)}, and, with "
            f"a hole each, {', '.join(_holes)}"
        )
    return reward
