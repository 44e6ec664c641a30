"""From verdicts to the rows of ``ladder.json``: accuracy, interval, paired test, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glassmind.records import Problem, Verdict
from glassmind.statistics import mcnemar_exact, paired_counts, wilson_interval

COMPARISONS: dict[str, tuple[str, ...]] = {
    "chain-of-thought": ("base",),
    "single-sample": ("chain-of-thought",),
    "self-consistency": ("chain-of-thought", "single-sample"),
    "log-probability-vote": ("self-consistency",),
    "verifier-vote": ("self-consistency", "log-probability-vote", "chain-of-thought"),
    "verifier-best-of-n": ("self-consistency", "log-probability-vote"),
}
"""What each rung is compared with; the first is the rung below, the row's ``against``."""


def ladder_row(
    rung: str, slice: str, results: Mapping[str, Sequence[Verdict]], seconds: float
) -> dict[str, Any]:
    """One row. ``results`` holds the verdicts of every rung on this slice, same problems in order.

    ``p_value`` is McNemar's exact test against the rung below; ``comparisons`` has every test made,
    with the problems gained and lost. ``seconds`` is the wall clock of the whole slice.
    """
    own = results[rung]
    n, correct = len(own), sum(v.correct for v in own)
    low, high = wilson_interval(correct, n)
    comparisons = []
    for other in COMPARISONS.get(rung, ()):
        if other in results:
            gained, lost = paired_counts(
                [v.correct for v in results[other]], [v.correct for v in own]
            )
            comparisons.append(
                {
                    "against": other,
                    "gained": gained,
                    "lost": lost,
                    "p_value": mcnemar_exact(gained, lost),
                }
            )
    first = comparisons[0] if comparisons else {"against": None, "p_value": None}
    return {
        "rung": rung,
        "slice": slice,
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "ci_low": low,
        "ci_high": high,
        "against": first["against"],
        "p_value": first["p_value"],
        "tokens_per_problem": sum(v.tokens for v in own) / n,
        "seconds": round(seconds, 2),
        "comparisons": comparisons,
    }


def rows_by_steps(
    rung: str, slice: str, problems: Sequence[Problem], results: Sequence[Verdict]
) -> list[dict[str, Any]]:
    """Accuracy by the number of steps a problem needs."""
    right: dict[int, list[bool]] = {}
    for problem, verdict in zip(problems, results, strict=True):
        right.setdefault(len(problem.steps), []).append(verdict.correct)
    rows = []
    for steps, outcomes in sorted(right.items()):
        low, high = wilson_interval(sum(outcomes), len(outcomes))
        rows.append(
            {
                "rung": rung,
                "slice": slice,
                "steps": steps,
                "n": len(outcomes),
                "correct": sum(outcomes),
                "ci_low": low,
                "ci_high": high,
            }
        )
    return rows
