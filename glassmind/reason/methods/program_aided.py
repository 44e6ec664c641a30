"""Program-aided: the model sets a calculation up, an interpreter evaluates it (PAL, Gao et al.
2022, arXiv 2211.10435).

The steps of a chain are equations, so a chain is a program already: each sampled chain is evaluated
anew, with a wrong result corrected wherever later steps use it (``grade.programs``). Then the
answers vote, as in PAL's majority@k. The chains are those of self-consistency, and arithmetic costs
no tokens. ``written_program`` asks for a program instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.grade.programs import recomputed, recomputed_answer
from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Completion, Cost, Node, Problem, Trace
from glassmind.tokenize import Tokenizer, chain_nodes, encode_completion

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer of the evaluated chains."""
    chains = budget.within(session.samples(problems, budget.samples))
    return [Solution.by_vote(trace) for trace in evaluated(chains, session)]


def evaluated(traces: Sequence[Trace], session: Session) -> list[Trace]:
    """Sampled chains with every equation computed anew.

    In our own format a chain that changes is written anew, by a tool, with what the model wrote in
    its cost. Of a reply in free text only the answer changes.
    """
    own_format = "steps" in session.has
    tokenizer = session.model("chain").tokenizer if own_format else None
    return [
        Trace.of_chains(
            trace.problem_id,
            [_evaluated(completion, tokenizer) for completion in trace.completions],
            trace.prompt_cost,
        )
        for trace in traces
    ]


def _evaluated(chain: Completion, tokenizer: Tokenizer | None) -> list[Node]:
    steps, nodes = recomputed(chain.steps), list(chain.nodes)
    answer = recomputed_answer(chain.steps, chain.answer)
    right = answer == chain.answer and not any(step.changed for step in steps)
    if right or answer is None or chain.answer is None:
        return nodes
    if tokenizer is None:
        return [*nodes[:-1], replace(nodes[-1], answer=answer)]
    ids = encode_completion(tokenizer, [step.text for step in steps], answer, "chain")
    spent = sum((node.cost for node in nodes), Cost())
    first, *others = (
        replace(node, cost=Cost(), author="tool")
        for node in chain_nodes(tokenizer, ids, "chain", finish=chain.finish)
    )
    return [replace(first, cost=spent), *others]


METHOD = Method(
    name="program-aided",
    title="program-aided",
    explanation="Exact arithmetic evaluates the equations of each sampled chain; then they vote.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency",),
    scales=True,
    pointless_with=frozenset({"calculator"}),
)
