"""Which problems to learn from next: in turn, or those that are solved about half of the time.

A problem whose sampled answers are all right, or all wrong, has little to teach to a method that
compares samples with each other. ``BySolveRate`` therefore draws a problem with a probability in
proportion to p (1 - p), the variance of a single answer that is right with probability p (the
"learnability" of Foster & Foerster 2025, arXiv 2502.12272). It is largest at p = 1/2.

The rate p is not known and changes while the model learns. It is estimated from what ``report``
says about earlier samples:

    kind      p_kind = (solved_kind + 1/2) / (seen_kind + 1)
    problem   p      = (solved + p_kind) / (seen + 1)

``seen`` counts reports and ``solved`` sums the shares of right answers that they had. A *kind* are
all problems of one story with one number of steps, so that a problem that was never drawn has an
estimate, too. All four sums are multiplied by ``decay`` at every draw: what was seen 1 / (1 -
decay) draws ago counts a third of what was seen just now. A share ``even`` of the probability is
spread evenly, so that no problem is given up.

The problems drawn depend on the seed, the number of draws and the reports alone. ``state`` holds
all of it, so a resumed run draws the same problems in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.records import Problem

CurriculumName = Literal["uniform", "solve-rate"]

DECAY = 0.98
EVEN = 0.2


class Curriculum(Protocol):
    """The order in which problems are drawn."""

    def draw(self, count: int) -> list[Problem]:
        """The next ``count`` problems."""
        ...

    def report(self, problem: Problem, solved_share: float) -> None:
        """Tell which share of the samples of a drawn problem was right, from 0 to 1."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that later draws depend on: values that JSON holds exactly."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a saved ``state`` of a curriculum of the same problems and seed."""
        ...


def make_curriculum(name: CurriculumName, problems: Sequence[Problem], seed: int) -> Curriculum:
    """The curriculum of that name.

    Raises:
        UserError: there are no problems.
    """
    if not problems:
        raise UserError("there is no problem to draw from: raise problems.train")
    return InTurn(problems, seed) if name == "uniform" else BySolveRate(problems, seed)


class InTurn:
    """Every problem once in random order, then all of them again in another order."""

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        self.problems, self.seed = problems, seed
        self.drawn = 0
        self._order: tuple[int, NDArray[np.int64]] | None = None  # an epoch and its permutation

    def draw(self, count: int) -> list[Problem]:
        """See ``Curriculum``."""
        found = [self._problem(self.drawn + n) for n in range(count)]
        self.drawn += count
        return found

    def report(self, problem: Problem, solved_share: float) -> None:
        """Changes nothing: the order is fixed."""

    def state(self) -> dict[str, Any]:
        """See ``Curriculum``."""
        return {"drawn": self.drawn}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See ``Curriculum``."""
        self.drawn = int(state["drawn"])

    def _problem(self, number: int) -> Problem:
        epoch, place = divmod(number, len(self.problems))
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._order = epoch, rng.permutation(len(self.problems))
        return self.problems[int(self._order[1][place])]


class BySolveRate:
    """Problems that are solved about half of the time are drawn more often (see above).

    ``decay`` is in (0, 1], ``even`` in (0, 1].
    """

    def __init__(
        self, problems: Sequence[Problem], seed: int, *, decay: float = DECAY, even: float = EVEN
    ) -> None:
        if not 0 < decay <= 1 or not 0 < even <= 1:
            raise ValueError("decay and even must be above 0 and at most 1")
        self.problems, self.seed, self.decay, self.even = problems, seed, decay, even
        kinds = [(problem.source, len(problem.steps)) for problem in problems]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        self._kind_of = np.array([numbers[kind] for kind in kinds])
        self._index_of = {problem.id: index for index, problem in enumerate(problems)}
        self.draws = 0
        self._solved, self._seen = np.zeros(len(problems)), np.zeros(len(problems))
        self._kind_solved, self._kind_seen = np.zeros(len(numbers)), np.zeros(len(numbers))

    def solve_rates(self) -> NDArray[np.float64]:
        """The estimate for each problem, in the order of ``problems``."""
        kinds = (self._kind_solved + 0.5) / (self._kind_seen + 1)
        rates: NDArray[np.float64] = (self._solved + kinds[self._kind_of]) / (self._seen + 1)
        return rates

    def probabilities(self) -> NDArray[np.float64]:
        """The probability with which each problem is drawn first."""
        rates = self.solve_rates()
        gains = rates * (1 - rates)
        total = gains.sum()
        n = len(self.problems)
        focused = gains / total if total > 0 else np.full(n, 1 / n)
        mixed: NDArray[np.float64] = self.even / n + (1 - self.even) * focused
        return mixed

    def draw(self, count: int) -> list[Problem]:
        """See ``Curriculum``. A problem is drawn twice only if there are fewer than ``count``."""
        for sums in (self._solved, self._seen, self._kind_solved, self._kind_seen):
            sums *= self.decay
        rng = np.random.default_rng([self.seed, self.draws])
        self.draws += 1
        chosen: list[int] = []
        while len(chosen) < count:
            # Without replacement: the largest of u^(1/p) (Efraimidis & Spirakis 2006).
            keys = np.log1p(-rng.random(len(self.problems))) / self.probabilities()
            order = np.argsort(-keys, kind="stable")
            chosen += order[: count - len(chosen)].tolist()
        return [self.problems[index] for index in chosen]

    def report(self, problem: Problem, solved_share: float) -> None:
        """See ``Curriculum``."""
        if not 0 <= solved_share <= 1:
            raise ValueError(f"a share is a number from 0 to 1, not {solved_share}")
        index = self._index_of[problem.id]
        kind = self._kind_of[index]
        self._solved[index] += solved_share
        self._seen[index] += 1
        self._kind_solved[kind] += solved_share
        self._kind_seen[kind] += 1

    def state(self) -> dict[str, Any]:
        """See ``Curriculum``. Only problems that were reported take room."""
        reported = np.flatnonzero(self._seen)
        return {
            "problems": len(self.problems),
            "draws": self.draws,
            "reported": reported.tolist(),
            "solved": self._solved[reported].tolist(),
            "seen": self._seen[reported].tolist(),
            "kind_solved": self._kind_solved.tolist(),
            "kind_seen": self._kind_seen.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See ``Curriculum``.

        Raises:
            ValueError: the state is of other problems.
        """
        fits = len(state["kind_seen"]) == len(self._kind_seen)
        if int(state["problems"]) != len(self.problems) or not fits:
            raise ValueError("the curriculum's state is of other problems")
        self.draws = int(state["draws"])
        reported = np.array(state["reported"], np.int64)
        for sums, name in ((self._solved, "solved"), (self._seen, "seen")):
            sums[:] = 0
            sums[reported] = state[name]
        self._kind_solved[:], self._kind_seen[:] = state["kind_solved"], state["kind_seen"]
