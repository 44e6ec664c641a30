"""A toy search, as somebody would add it: one ``solve``, one ``Method``, and nothing else.

The model writes first steps; the likeliest is kept, and the model goes on from there, asked again
with that step behind the question. What was given up stays in the trace: a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.session import Session
from glassmind.reason.vote import vote
from glassmind.records import Cost, Node, Problem, Trace


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    model = session.model("chain")
    params = replace(session.sampled, samples=max(2, budget.samples))
    openings = model.sample(problems, params, "chain")
    kept = [max(trace.completions, key=lambda c: c.nodes[0].cost.completion_tokens)
            for trace in openings]  # fmt: skip
    asked = [
        replace(problem, question=f"{problem.question} {first.nodes[0].text}")
        for problem, first in zip(problems, kept, strict=True)
    ]
    endings = model.sample(asked, params, "chain")
    solutions = []
    for opening, first, ending in zip(openings, kept, endings, strict=True):
        nodes: list[Node] = [replace(c.nodes[0], parent=None) for c in opening.completions]
        root = first.sample
        for completion in ending.completions:
            parent = root
            for node in completion.nodes:
                nodes.append(replace(node, parent=parent))
                parent = len(nodes) - 1
        spent = sum((trace.cost for trace in (opening, ending)), Cost())
        trace = Trace(opening.problem_id, tuple(nodes), opening.prompt_cost + ending.prompt_cost)
        solutions.append(Solution(trace.problem_id, vote(trace.completions), trace, spent))
    return solutions


METHOD = Method(
    name="toy-beam",
    title="step beam <toy>",
    explanation="The likeliest first step is kept, and the model goes on from there.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency",),
    scales=True,
    in_summary=True,
)
