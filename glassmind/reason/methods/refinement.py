"""Self-refinement: write, criticise, rewrite (Madaan et al. 2023, arXiv 2303.17651).

The critic is the verifier, with exact arithmetic next to it: the first step that it believes to be
wrong is where the chain is cut, and the model writes on anew from the step before.

    s1  s2  s3  42          beliefs  .95  .41  .30  .35
        '-- s2' s3' 39               kept if its end is believed more

A model that rewrites at will also spoils right answers (Huang et al. 2023, 2310.01798), so a
revision replaces the chain only if the verifier scores it higher. ``Budget.samples`` bounds the
chains: the greedy one and the revisions. Problems whose chain is believed throughout cost no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.search import Search, searched
from glassmind.reason.tree import Tree
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

DOUBTFUL = 0.5
"""A step, or a whole chain, that the verifier believes less than this is written anew."""


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the chain that is left after the last revision."""
    greedy = session.greedy(problems)

    def revise(
        part: Sequence[Problem], session: Session, budget: Budget, *, first: int
    ) -> list[Trace]:
        return refine(part, session, budget, greedy[first : first + len(part)], first=first)

    traces = searched(METHOD.name, revise, problems, session, budget)
    return [Solution.by_score(trace) for trace in traces]


def refine(
    problems: Sequence[Problem],
    session: Session,
    budget: Budget,
    greedy: Sequence[Trace],
    *,
    first: int = 0,
) -> list[Trace]:
    """One tree per problem: the greedy chain and its revisions."""
    found = Search(problems, session, budget, budget.within(greedy), first=first)
    trees = found.trees
    found.complete([(n, leaf) for n, tree in enumerate(trees) for leaf in tree.leaves])
    doubted = list(range(len(problems)))
    for _ in range(budget.samples - 1):
        found.judge({n: _nodes_of_chains(trees[n]) for n in doubted})
        cuts = [(n, cut) for n in doubted for cut in _cut(trees[n])]
        doubted = [n for n, _ in cuts]
        found.complete(cuts)
    found.judge({n: _nodes_of_chains(trees[n]) for n in doubted})
    return found.traces()


def _nodes_of_chains(tree: Tree) -> list[int]:
    return [node for end in tree.finished for node in tree.path(end)]


def _cut(tree: Tree) -> list[int | None]:
    """Where the best chain is written anew: the node before its first step in doubt.

    If only its end is in doubt, that is the step which is believed least. If nothing is, there is
    no such place. A chain that never ended is written anew from its beginning.
    """
    if not tree.finished:
        return [None]
    best = max(tree.finished, key=lambda end: (tree.value(end) or 0.0, -end))
    *steps, end = tree.path(best)
    beliefs = {step: belief for step in steps if (belief := tree.value(step)) is not None}
    doubted = [step for step, belief in beliefs.items() if belief < DOUBTFUL]
    if not doubted and (tree.value(end) or 0.0) < DOUBTFUL:
        doubted = [min(beliefs, key=beliefs.__getitem__, default=end)]
    return [tree.nodes[step].parent for step in doubted[:1]]


METHOD = Method(
    name="self-refinement",
    title="self-refinement",
    explanation=(
        "The chain is written anew from the first step that a verifier doubts, if that is better."
    ),
    solve=solve,
    needs=frozenset({"chain", "steps", "verifier"}),
    compared_with=("chain-of-thought", "verifier-vote"),
    scales=True,
    in_ladder=False,
)
