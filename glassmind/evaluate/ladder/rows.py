"""From verdicts to the rows of ``ladder.json``: accuracy, interval, paired tests, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glassmind.evaluate.run_files import Comparison, LadderRow, StepsRow, VotesRow
from glassmind.reason.method import Method
from glassmind.records import Cost, Problem, Verdict
from glassmind.statistics import mcnemar_exact, paired_counts, wilson_interval


def ladder_row(method: Method, slice: str, results: Mapping[str, Sequence[Verdict]]) -> LadderRow:
    """One row. ``results`` holds the verdicts of every method on this slice, in the same order.

    ``p_value`` is McNemar's exact test against the first of ``compared_with`` that was run;
    ``comparisons`` has every test made, with the problems gained and lost. A ceiling is not tested,
    because it cannot be below the methods that it bounds.
    """
    own = results[method.name]
    n, correct = len(own), sum(v.correct for v in own)
    low, high = wilson_interval(correct, n)
    comparisons = []
    for other in () if method.ceiling else method.compared_with:
        if other in results:
            gained, lost = paired_counts(
                [v.correct for v in results[other]], [v.correct for v in own]
            )
            comparisons.append(Comparison(other, mcnemar_exact(gained, lost), gained, lost))
    spent = total_cost(own)
    return LadderRow(
        rung=method.name,
        slice=slice,
        n=n,
        correct=correct,
        accuracy=correct / n,
        ci_low=low,
        ci_high=high,
        completion_tokens=spent.completion_tokens / n,
        seconds=spent.seconds / n,
        prompt_tokens=spent.prompt_tokens / n,
        judged_tokens=spent.judged_tokens / n,
        against=comparisons[0].against if comparisons else None,
        p_value=comparisons[0].p_value if comparisons else None,
        comparisons=tuple(comparisons),
    )


def rows_by_steps(
    method: Method, slice: str, problems: Sequence[Problem], results: Sequence[Verdict]
) -> list[StepsRow]:
    """Accuracy by the number of steps a problem needs."""
    right: dict[int, list[bool]] = {}
    for problem, verdict in zip(problems, results, strict=True):
        right.setdefault(len(problem.steps), []).append(verdict.correct)
    rows = []
    for steps, outcomes in sorted(right.items()):
        n, correct = len(outcomes), sum(outcomes)
        low, high = wilson_interval(correct, n)
        rows.append(StepsRow(method.name, slice, steps, n, correct, low, high))
    return rows


def votes_row(method: Method, k: int, results: Sequence[Verdict]) -> VotesRow:
    """Accuracy and tokens with ``k`` samples."""
    n, correct = len(results), sum(v.correct for v in results)
    low, high = wilson_interval(correct, n)
    spent = total_cost(results)
    tokens = (spent.completion_tokens + spent.judged_tokens) / n
    return VotesRow(method.name, k, n, correct, low, high, tokens)


def total_cost(results: Sequence[Verdict]) -> Cost:
    """The cost of all answers together."""
    return sum((verdict.cost for verdict in results), Cost())
