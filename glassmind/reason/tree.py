"""A trace while a search grows it: steps are added below steps, and equal ones are merged.

A sampled model writes the same step again and again. Two children with the same tokens lead to the
same future, so they are one node with the cost of both and a count of how often it was drawn: the
count is the model's own estimate of how likely the step is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.records import OUTCOME, PROCESS, Cost, Node, Problem, Trace


class Tree:
    """The growing trace of ``problem``; a node is named by its index, the root by ``None``.

    ``drawn[i]`` is how many samples node *i* was merged from.
    """

    def __init__(self, problem: Problem, prompt_cost: Cost) -> None:
        self.problem, self.prompt_cost = problem, prompt_cost
        self.nodes: list[Node] = []
        self.drawn: list[int] = []
        self._children: dict[int | None, dict[object, int]] = {}

    def add(self, parent: int | None, continuation: Sequence[Node]) -> int:
        """Add nodes that follow one another below ``parent``; the index of the last.

        Nodes that are there already are merged.
        """
        at = parent
        for node in continuation:
            own = (node.token_ids or node.text, node.author, node.finish)
            siblings = self._children.setdefault(at, {})
            index = siblings.get(own)
            if index is None:
                index = siblings[own] = len(self.nodes)
                self.nodes.append(replace(node, parent=at))
                self.drawn.append(0)
            else:
                known = self.nodes[index]
                self.nodes[index] = replace(known, cost=known.cost + node.cost)
            self.drawn[index] += 1
            at = index
        if at is None:
            raise ValueError("a continuation without nodes")
        return at

    def children(self, parent: int | None) -> tuple[int, ...]:
        """The nodes that continue ``parent``, in the order in which they were first drawn."""
        return tuple(self._children.get(parent, {}).values())

    @property
    def leaves(self) -> tuple[int, ...]:
        """The nodes that nothing continues."""
        return tuple(n for n in range(len(self.nodes)) if not self._children.get(n))

    @property
    def finished(self) -> tuple[int, ...]:
        """The ends of the chains that ended by themselves."""
        return tuple(filter(self.is_finished, range(len(self.nodes))))

    def path(self, node: int | None) -> tuple[int, ...]:
        """The indices from a root down to ``node``; none for the root itself."""
        found: list[int] = []
        while node is not None:
            found.append(node)
            node = self.nodes[node].parent
        return tuple(reversed(found))

    def token_ids(self, node: int | None) -> tuple[int, ...]:
        """The ids from the prompt's end to ``node``."""
        return tuple(token for index in self.path(node) for token in self.nodes[index].token_ids)

    def is_open(self, node: int | None) -> bool:
        """Whether the chain can be continued there: it is empty, or ends with a closed step."""
        if node is None:
            return True
        one = self.nodes[node]
        return one.kind == "step" and one.closed and one.finish is None

    def is_finished(self, node: int | None) -> bool:
        """Whether a chain ended there by itself."""
        return node is not None and self.nodes[node].finish == "stop"

    def value(self, node: int | None) -> float | None:
        """The verifier's judgement: of the whole chain at its end, else of the steps so far."""
        if node is None:
            return None
        scores = self.nodes[node].scores
        return scores.get(OUTCOME) if self.is_finished(node) else scores.get(PROCESS)

    def trace(self) -> Trace:
        """Everything that was written so far."""
        return Trace(self.problem.id, tuple(self.nodes), self.prompt_cost)
