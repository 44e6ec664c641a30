"""Monte-Carlo tree search over steps, guided by a verifier (PUCT: Silver et al. 2017, AlphaGo Zero;
for language models Hao et al. 2023, arXiv 2305.14992; Zhang et al. 2024, 2406.03816).

One simulation:

    select      from the root, to the child with the largest Q + c·P·√N_parent / (1 + N)
    expand      at a node not expanded before: M sampled next steps, equal ones merged
    evaluate    v = (1 - λ)·V + λ·rollout, for the best of the new steps
    back up     N += 1, W += v on the way back to the root; Q = W / N

P is the share of the samples that wrote a step, V the verifier's belief in it, and the rollout is
its belief in a chain that the model writes from there to the end. A step that was not visited yet
has Q = V. A chain's end is evaluated without being expanded, which costs nothing again.

``Budget.samples`` bounds the leaves that are sampled: an expansion turns one into M. Every problem
is in the same phase of its own simulation, so that all of them are one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.search import Search, searched, vote_of_judged
from glassmind.reason.tree import Tree
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

EXPLORATION = 1.0
"""c: how much a step that is likely and rarely visited is preferred to one of high value."""

CONTINUATIONS = 4
"""M: samples of an expansion."""

ROLLOUT = 0.0
"""λ: how much a rollout counts beside the verifier's belief in the step. In one comparison (150
problems, one seed) the shipped model was no better with rollouts, which cost tokens."""

_VISITS_OF_ENDS = 4
"""A search stops after this many visits of chains' ends for each leaf of its budget."""


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the tree's chains with the largest total weight from the verifier."""
    traces = searched(METHOD.name, search, problems, session, budget)
    return [vote_of_judged(trace) for trace in traces]


class Walk:
    """The statistics of one tree: visits N, and total value W, by node (``None``: the root)."""

    def __init__(self, tree: Tree, leaves: int) -> None:
        self.tree, self.left = tree, leaves
        self.visits: dict[int | None, int] = {}
        self.total: dict[int | None, float] = {}
        self.expanded: set[int | None] = set()
        self.samples = min(CONTINUATIONS, leaves)
        self._ends = _VISITS_OF_ENDS * leaves

    def leaf(self) -> list[int | None]:
        """The node to be expanded next; none if the budget does not allow another.

        Ends of chains that are selected on the way are visited at once.
        """
        cost = self.samples - (None in self.expanded)
        while cost <= self.left and self._ends:
            node: int | None = None
            while node in self.expanded and (below := self.children(node)):
                node = max(below, key=lambda child: self.priority(child))
            if self.tree.is_open(node) and node not in self.expanded:
                self.left -= cost
                self.expanded.add(node)
                return [node]
            self._ends -= 1
            dead = not self.tree.is_finished(node)
            self.back_up(node, 0.0 if dead else self.tree.value(node) or 0.0)
        return []

    def children(self, node: int | None) -> list[int]:
        """The children that are worth a visit: closed steps and ends of chains."""
        tree = self.tree
        return [c for c in tree.children(node) if tree.is_open(c) or tree.is_finished(c)]

    def priority(self, child: int) -> float:
        """Q + c·P·√N_parent / (1 + N)."""
        tree = self.tree
        parent, n = tree.nodes[child].parent, self.visits.get(child, 0)
        drawn = sum(tree.drawn[c] for c in tree.children(parent))
        q = self.total[child] / n if n else tree.value(child) or 0.0
        around = math.sqrt(max(1, self.visits.get(parent, 0)))
        return q + EXPLORATION * tree.drawn[child] / drawn * around / (1 + n)

    def best_child(self, node: int | None) -> int | None:
        """The child that a simulation goes on to after an expansion."""
        return max(self.children(node), key=self.priority, default=None)

    def back_up(self, node: int | None, value: float) -> None:
        """Count one visit of ``node`` and of all nodes above it."""
        for above in (None, *self.tree.path(node)):
            self.visits[above] = self.visits.get(above, 0) + 1
            self.total[above] = self.total.get(above, 0.0) + value

    def most_visited(self) -> int | None:
        """The open node at the end of the path that was visited most."""
        node: int | None = None
        while below := self.children(node):
            node = max(below, key=lambda child: self.visits.get(child, 0))
        return node


def search(
    problems: Sequence[Problem],
    session: Session,
    budget: Budget,
    *,
    first: int = 0,
    rollout: float = ROLLOUT,
) -> list[Trace]:
    """One tree per problem, with at most ``budget.samples`` sampled leaves."""
    found = Search(problems, session, budget, first=first)
    walks = [Walk(tree, budget.samples) for tree in found.trees]
    while chosen := [(n, node) for n, walk in enumerate(walks) for node in walk.leaf()]:
        found.grow([(n, node, walks[n].samples) for n, node in chosen])
        found.judge({n: walks[n].children(node) for n, node in chosen})
        reached = [(n, node, walks[n].best_child(node)) for n, node in chosen]
        rolled = _roll_out(found, [(n, child) for n, _, child in reached]) if rollout else {}
        for n, node, child in reached:
            value = 0.0 if child is None else found.trees[n].value(child) or 0.0
            if n in rolled:
                value = (1 - rollout) * value + rollout * rolled[n]
            walks[n].back_up(node if child is None else child, value)
    endless = [(n, walk.most_visited()) for n, walk in enumerate(walks) if not walk.tree.finished]
    found.complete(endless)
    found.judge({n: tree.finished for n, tree in enumerate(found.trees)})
    return found.traces()


def _roll_out(found: Search, starts: Sequence[tuple[int, int | None]]) -> dict[int, float]:
    """The verifier's belief in a chain sampled from each open node to its end, by problem."""
    open_ = [(n, node) for n, node in starts if node is not None and found.trees[n].is_open(node)]
    ends = dict(zip((n for n, _ in open_), found.complete(open_), strict=True))
    found.judge({n: [end] for n, end in ends.items() if end is not None})
    return {n: 0.0 if end is None else found.trees[n].value(end) or 0.0 for n, end in ends.items()}


METHOD = Method(
    name="tree-search",
    title="tree search",
    explanation="Monte-Carlo tree search over steps, with a verifier's beliefs as their values.",
    solve=solve,
    needs=frozenset({"chain", "steps", "verifier"}),
    compared_with=("self-consistency", "verifier-vote"),
    scales=True,
    in_ladder=False,
)
