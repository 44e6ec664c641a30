"""Step beam: of the steps that could come next, a verifier keeps the best (Snell et al. 2024, arXiv
2408.03314; Xie et al. 2023, 2305.00633).

    n first steps ── keep n/M ──> M next steps each ── keep n/M ──> ...

The width is n, ``Budget.samples``. Equal steps are merged before they are judged, so a slot of the
beam is never spent on a copy. A chain that ends takes its slot with it: it is not continued, not
copied, and not displaced later, since the copies of a finished chain would outvote the others.

The verifier is asked only where there is something to decide: if no more candidates are there than
slots, all of them are kept unread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.search import Search, searched, vote_of_judged
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

CONTINUATIONS = 4
"""M: how many samples continue each kept path, if the width allows."""


@dataclass
class _Beam:
    """The paths of one problem that go on (``None``: the root), the slots that are left, and the
    chains that ended in one."""

    paths: list[int | None]
    slots: int
    finished: list[int]


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the beam's chains with the largest total weight from the verifier."""
    traces = searched(METHOD.name, search, problems, session, budget)
    return [vote_of_judged(trace) for trace in traces]


def search(
    problems: Sequence[Problem], session: Session, budget: Budget, *, first: int = 0
) -> list[Trace]:
    """One tree per problem, grown by a beam of width ``budget.samples``."""
    found, width = Search(problems, session, budget, first=first), budget.samples
    slots = max(1, width // CONTINUATIONS)
    beams = [_Beam([None], slots, []) for _ in problems]
    opening = True
    while any(beam.paths for beam in beams):
        wanted = [
            (number, path, width if opening else max(1, width // slots))
            for number, beam in enumerate(beams)
            for path in beam.paths
        ]
        candidates: dict[int, list[int]] = {}
        for (number, _, _), ends in zip(wanted, found.grow(wanted), strict=True):
            candidates[number] = list(dict.fromkeys((*candidates.get(number, ()), *ends)))
        found.judge({n: ends for n, ends in candidates.items() if len(ends) > beams[n].slots})
        for number, ends in candidates.items():
            _keep(found, number, beams[number], ends)
        opening = False
    found.judge({n: beam.finished for n, beam in enumerate(beams)})
    return found.traces()


def _keep(found: Search, number: int, beam: _Beam, candidates: list[int]) -> None:
    """Fill the slots of one beam with the best of its candidates, the earlier of equals first."""
    tree = found.trees[number]
    usable = [node for node in candidates if tree.is_open(node) or tree.is_finished(node)]
    usable.sort(key=lambda node: -(tree.value(node) or 0.0))  # unjudged: all of them are kept
    kept = usable[: beam.slots]
    ended = [node for node in kept if tree.is_finished(node)]
    beam.paths = [node for node in kept if not tree.is_finished(node)]
    beam.finished += ended
    beam.slots -= len(ended)


METHOD = Method(
    name="step-beam",
    title="step beam",
    explanation="Step by step, a verifier keeps the best of several continuations of each path.",
    solve=solve,
    needs=frozenset({"chain", "steps", "verifier"}),
    compared_with=("self-consistency", "verifier-vote"),
    scales=True,
    in_ladder=False,
)
