"""The chains of a trace in another order, as if they had been drawn in that order.

Chains are drawn independently, so every order is as likely as the one they came in. What a method
would do with n of N chains is therefore measured without bias by averaging over orders, in each of
which it takes the first n.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from glassmind.records import Completion, Cost, Node, Trace

GROUP_TOKENS = 320
"""A verifier reads chains in groups of about this many tokens, each after the question
(``verify.score_traces``)."""


def shuffled(traces: Sequence[Trace], seed: int) -> list[Trace]:
    """The traces with the chains of each in an order that ``seed`` and its number decide."""
    found = []
    for number, trace in enumerate(traces):
        order = list(range(len(trace.leaves)))
        random.Random(f"{seed} {number}").shuffle(order)
        found.append(reordered(trace, order))
    return found


def reordered(trace: Trace, order: Sequence[int]) -> Trace:
    """A forest without branches, with its chains in this order.

    A verifier reads equal chains once and the question once for each group of chains. These costs
    are counted for the first of equal chains, and for the first of a group, in the new order.
    """
    chains = [trace.completions[number] for number in order]
    nodes = [list(chain.nodes) for chain in chains]
    if trace.cost.judged_tokens:
        _charge(chains, nodes)
    return Trace.of_chains(trace.problem_id, nodes, trace.prompt_cost)


def _charge(chains: Sequence[Completion], nodes: list[list[Node]]) -> None:
    """Set the judged tokens of ``nodes`` as a verifier that reads the chains in this order."""
    question = max(
        one[0].cost.judged_tokens - len(one[0].token_ids) for one in nodes
    )  # what was read before the first chain of a group
    seen: set[tuple[int, ...]] = set()
    size = 0
    for number, chain in enumerate(chains):
        length = len(chain.token_ids)
        fresh = length > 0 and chain.token_ids not in seen
        seen.add(chain.token_ids)
        first = fresh and (size == 0 or size + length > GROUP_TOKENS)
        if fresh:
            size = length if first else size + length
        nodes[number] = [
            _judged(node, (len(node.token_ids) if fresh else 0) + question * (first and not place))
            for place, node in enumerate(nodes[number])
        ]


def _judged(node: Node, tokens: int) -> Node:
    cost = node.cost
    return replace(
        node, cost=Cost(cost.prompt_tokens, cost.completion_tokens, tokens, cost.seconds)
    )
