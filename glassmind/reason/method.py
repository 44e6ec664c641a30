"""A method: one way of turning a model's chains of thought into answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glassmind.reason.needs import Need
from glassmind.reason.vote import heaviest, vote
from glassmind.records import Cost, Problem, Trace

if TYPE_CHECKING:  # a report takes titles from here, and needs no model for that
    from glassmind.reason.session import Session

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a method may spend on a problem: ``samples`` chains, or leaves of a tree."""

    samples: int = 1


@dataclass(frozen=True, slots=True)
class Solution:
    """A method's answer to a problem, what it rests on, and what it took.

    ``answer`` is ``None`` where the method found none. ``cost`` is the method's own: of chains that
    methods share, each counts what it would have drawn and judged alone. ``chosen`` is the number
    in ``trace.completions`` of the chain that the method would show for its answer: the one that it
    took, or the heaviest of those that voted for it. ``None`` where no chain gave the answer.
    """

    problem_id: str
    answer: str | None
    trace: Trace
    cost: Cost
    chosen: int | None = None

    @staticmethod
    def of(answer: str | None, trace: Trace, chosen: int | None = None) -> Solution:
        """A solution that cost what its trace did."""
        return Solution(trace.problem_id, answer, trace, trace.cost, chosen)

    @staticmethod
    def by_vote(trace: Trace, weights: Sequence[float] | None = None) -> Solution:
        """The answer with the heaviest vote, each chain's being 1 unless given, and the heaviest
        chain that gave it; among equals the likeliest."""
        chains = trace.completions
        answer = vote(chains, weights)
        heavy = [1.0] * len(chains) if weights is None else weights
        return Solution.of(answer, trace, heaviest(chains, answer, heavy))


class Solve(Protocol):
    """The work of a method: one solution a problem, in order."""

    def __call__(
        self, problems: Sequence[Problem], session: Session, budget: Budget
    ) -> list[Solution]: ...


@dataclass(frozen=True, slots=True)
class Method:
    """A way of answering, with what tables, reports and commands say about it.

    ``name`` is what commands and files call it, ``title`` what people read, and ``explanation`` one
    sentence that says what it does. ``needs`` is what a session must have for it.
    ``compared_with`` names the methods that it is tested against on the same problems, first the
    one that it improves on. ``scales`` says that ``Budget.samples`` changes what it does, so that
    its accuracy is drawn against the number of samples. ``in_summary`` puts it where there is room
    for a few methods only.

    A method that needs the reference answers is a *ceiling*: it answers nothing, and shows what
    could be reached by choosing well. It is not tested against anything; ``compared_with`` names
    the method whose distance to it is told.
    """

    name: str
    title: str
    explanation: str
    solve: Solve
    needs: frozenset[Need] = frozenset()
    compared_with: tuple[str, ...] = ()
    scales: bool = False
    in_summary: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a method's name has lower-case words with hyphens: {self.name!r}")

    @property
    def ceiling(self) -> bool:
        """Whether it shows what could be reached instead of answering."""
        return "answers" in self.needs
