"""The completions of one question, with their rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glassmind.records import Completion, Problem


@dataclass(frozen=True, eq=False)
class Group:
    """G completions of a problem. ``rewards_GK`` are K rewards of each, whose names and weights the
    whole set of samples shares; ``right`` says which answers are right."""

    problem: Problem
    prompt: tuple[int, ...]
    completions: tuple[Completion, ...]
    rewards_GK: NDArray[np.float64]
    right: tuple[bool, ...]

    def informative(self, weights_K: Sequence[float]) -> bool:
        """Whether the weighted sums of rewards differ, so that something can be learned."""
        return bool(np.ptp(self.rewards_GK @ np.asarray(weights_K)) > 0)

    def with_reward(self, values_G: Sequence[float]) -> Group:
        """The group with one more reward."""
        return replace(self, rewards_GK=np.column_stack([self.rewards_GK, values_G]))

    @property
    def n_tokens(self) -> int:
        """The tokens of all completions."""
        return sum(len(completion.token_ids) for completion in self.completions)
