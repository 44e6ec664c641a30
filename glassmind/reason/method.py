"""A method: one way of turning a model's chains of thought into answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glassmind.reason.needs import Need
from glassmind.reason.token_budget import within
from glassmind.reason.vote import answer_keys, best_of, heaviest, vote
from glassmind.records import Cost, Problem, Trace

if TYPE_CHECKING:  # a report takes titles from here, and needs no model for that
    from glassmind.reason.session import Session

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a method may spend on a problem: ``samples`` chains, or leaves of a tree, and at most
    ``tokens`` tokens, counting those written and those judged by a verifier (``None``: no limit).
    """

    samples: int = 1
    tokens: int | None = None

    def within(self, traces: Sequence[Trace]) -> list[Trace]:
        """The traces cut where the tokens run out: see ``token_budget.within``."""
        return [within(trace, self.tokens) for trace in traces]


@dataclass(frozen=True, slots=True)
class Solution:
    """A method's answer to a problem, the trace it is based on, and its cost.

    ``answer`` is ``None`` if the method found none. Methods share chains; ``cost`` is what the
    method would have cost alone. ``chosen`` is the number in ``trace.completions`` of the chain to
    show for the answer: the chain that the method took, or the heaviest of those that voted for it.
    It is ``None`` if no chain gave the answer.
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

    @staticmethod
    def by_score(trace: Trace) -> Solution:
        """The answer of the one chain that a verifier scores highest."""
        chains = trace.completions
        best = best_of(chains, [chain.score or 0.0 for chain in chains])
        return Solution.of(None if best is None else answer_keys(chains)[best], trace, best)


class Solve(Protocol):
    """The function of a method: one solution per problem, in order."""

    def __call__(
        self, problems: Sequence[Problem], session: Session, budget: Budget
    ) -> list[Solution]: ...


@dataclass(frozen=True, slots=True)
class Method:
    """A way of answering, with its description for tables, reports and commands.

    ``name`` is used by commands and files, ``title`` is shown to people, and ``explanation`` is one
    sentence that says what it does. ``needs`` is what a session must have for it.
    ``compared_with`` names the methods that it is tested against on the same problems, beginning
    with the one that it improves on. ``scales`` says that the result depends on
    ``Budget.samples``, so that accuracy is plotted against the number of samples; ``greedy`` that
    it always takes the likeliest token, so that a temperature changes nothing. ``in_summary``
    says whether the method is shown where there is room for a few only, and ``in_ladder`` whether
    it runs where no method is named: one that samples for itself, or is of interest only beside its
    relatives, runs only if it is asked for. So does one that is ``pointless_with`` what a session
    has: with a calculator there are no false equations to find.

    A method that needs the reference answers is a *ceiling*: it cannot be used to answer, and shows
    what perfect choosing among the chains would reach. It is not tested against other methods;
    ``compared_with`` names the method whose distance to the ceiling is reported.
    """

    name: str
    title: str
    explanation: str
    solve: Solve
    needs: frozenset[Need] = frozenset()
    compared_with: tuple[str, ...] = ()
    scales: bool = False
    greedy: bool = False
    in_summary: bool = False
    in_ladder: bool = True
    pointless_with: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a method's name is lower-case words and hyphens, not {self.name!r}")

    @property
    def chooses(self) -> bool:
        """Whether it only chooses among the sampled chains that all methods share."""
        return self.scales and self.needs <= {"chain", "verifier", "answers"}

    @property
    def ceiling(self) -> bool:
        """Whether it shows an upper bound instead of answering."""
        return "answers" in self.needs
