"""The list of all rewards. A new one is a file in ``rewards/`` and an entry in ``_BUILT_IN``."""

from __future__ import annotations

from glassmind.errors import UserError
from glassmind.reason.reward import Reward
from glassmind.reason.rewards import answer, reward_model, steps, verifier

_BUILT_IN = (answer.REWARD, steps.REWARD, verifier.REWARD, reward_model.REWARD)
_registry = {reward.name: reward for reward in _BUILT_IN}


def rewards() -> tuple[Reward, ...]:
    """All rewards."""
    return tuple(_registry.values())


def named(name: str) -> Reward:
    """The reward of that name.

    Raises:
        UserError: there is none.
    """
    reward = _registry.get(name)
    if reward is None:
        raise UserError(f"there is no reward {name[:60]!r}; the rewards are {', '.join(_registry)}")
    return reward
