"""A written program: the model is asked for assignments, and an interpreter runs them (PAL, Gao et
al. 2022, arXiv 2211.10435; Chen et al. 2022, 2211.12588).

For models that follow instructions. The program is untrusted text; the interpreter knows numbers,
names, ``+ - * /`` and parentheses, and bounds their size and number (``grade.programs``). A reply
without a program keeps the answer that is found in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.grade.programs import run_program
from glassmind.llm.replies import reply_text
from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

REQUEST = (
    "Solve this by writing a program. Each line assigns a calculation to a name, using only "
    "numbers, names, + - * / and parentheses. The last line assigns the result to the name answer."
)
"""What stands behind the question."""


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent result of the programs."""
    asked = [replace(p, question=f"{p.question}\n\n{REQUEST}") for p in problems]
    most = max(budget.samples, session.sampled.samples)  # fewer are the first of more

    def write(start: int = 0, stop: int | None = None) -> list[Trace]:
        params = replace(session.sampled, samples=most)
        return session.model("chain").sample(asked[start:stop], params, "chain", first=start)

    written = session.searched(f"programs-{most}", problems, write)
    traces = budget.within([trace.first(budget.samples) for trace in written])
    return [Solution.by_vote(_run(trace)) for trace in traces]


def _run(trace: Trace) -> Trace:
    nodes = list(trace.nodes)
    for completion in trace.completions:
        leaf, result = completion.path[-1], run_program(reply_text(completion))
        if result is not None:
            nodes[leaf] = replace(nodes[leaf], answer=result)
    return replace(trace, nodes=tuple(nodes))


METHOD = Method(
    name="written-program",
    title="written program",
    explanation="The model is asked for programs of plain arithmetic; their results vote.",
    solve=solve,
    needs=frozenset({"chain", "instructions"}),
    compared_with=("self-consistency",),
    scales=True,
    in_ladder=False,
)
