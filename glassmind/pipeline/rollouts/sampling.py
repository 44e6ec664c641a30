"""Which questions are drawn, and the groups of completions that they get.

With dynamic sampling (DAPO: Yu et al. 2025, arXiv 2503.14476), questions whose completions all have
the same reward teach nothing and are replaced by others, a bounded number of times. How many
questions were drawn is all that later draws depend on, so a resumed run draws the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from glassmind.generate import SamplingParams, derive_seed
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.records import Problem
from glassmind.runs.recipe import Recipe


@dataclass(frozen=True)
class Drawn:
    """What one call of ``GroupSampler.draw`` sampled: all groups, and those to learn from."""

    all: list[Group]
    kept: list[Group]


class GroupSampler:
    """Draws problems in random order and samples a group of completions of each.

    ``size`` is the number of completions in a group. ``drawn`` counts the problems so far; setting
    it goes back to, or on from, another place.
    """

    def __init__(
        self,
        llm: LocalLLM,
        problems: Sequence[Problem],
        rewarding: Rewarding,
        recipe: Recipe,
        size: int,
        alarm: DriftAlarm,
    ) -> None:
        self.llm, self.problems, self.rewarding = llm, problems, rewarding
        self.recipe, self.size, self.alarm = recipe, size, alarm
        self.drawn = 0

    def draw(self, questions: int, resample: int = 0) -> Drawn:
        """Groups of ``questions`` problems, sampled with the model's weights as they are now.

        Up to ``resample`` times, groups without differences in reward are left out and as many
        other problems drawn. If some are left out to the end, fewer are kept; if all are, the first
        ones are kept, from which nothing is learned.

        Raises:
            UserError: a reward fails, or engine and trainer differ more than the recipe allows.
        """
        self.llm.model.eval()
        self.llm.refresh()
        sampled = self._sample(questions)
        self.alarm.check(self.llm.model, sampled)
        kept = self._informative(sampled) if resample else sampled
        first, rounds = sampled, 0
        while len(kept) < questions and rounds < resample:
            again = self._sample(questions - len(kept))
            sampled = [*sampled, *again]
            kept = [*kept, *self._informative(again)]
            rounds += 1
        self.llm.model.train()
        return Drawn(sampled, kept or first)

    def _sample(self, questions: int) -> list[Group]:
        problems = [self._problem(self.drawn + n) for n in range(questions)]
        seed = derive_seed(self.recipe.seed, self.drawn)
        params = replace(SamplingParams.of(self.recipe.sampling, seed=seed), samples=self.size)
        traces = self.llm.sample(problems, params, self.llm.style)
        self.drawn += questions
        return self.rewarding.groups(problems, traces)

    def _problem(self, number: int) -> Problem:
        """Every problem once in random order, then all of them again in another order."""
        epoch, place = divmod(number, len(self.problems))
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.problems))
        return self.problems[int(order[place])]

    def _informative(self, groups: Sequence[Group]) -> list[Group]:
        return [group for group in groups if group.informative(self.rewarding.weights)]
