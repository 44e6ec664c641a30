"""Which questions of a task stand in a training text, and whether the model does better on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.data.pretraining.contamination import Seen
from glassmind.evaluate.graded_problems import GradedProblem
from glassmind.evaluate.ladder.names import title
from glassmind.evaluate.wording import interval, percent
from glassmind.quantity import quantity
from glassmind.statistics import wilson_interval


@dataclass(frozen=True, slots=True)
class SeenReport:
    """``found`` are the ids of the ``n`` questions that share ``ngram`` words in a row with
    ``training``; ``too_short`` could not be looked for. ``right`` counts what ``method`` solved of
    those found, and of the others."""

    training: str
    ngram: int
    n: int
    too_short: int
    found: tuple[str, ...]
    method: str
    right: tuple[int, int]


def seen_report(
    training: str, seen: Seen, problems: Sequence[GradedProblem], method: str
) -> SeenReport:
    """The report for what ``seen_in_training`` found of these problems."""
    found = set(seen.found)
    solved = [(answer := p.by(method)) is not None and answer.correct for p in problems]
    inside = sum(right for number, right in enumerate(solved) if number in found)
    ids = tuple(problems[number].id for number in seen.found)
    right = inside, sum(solved) - inside
    return SeenReport(training, seen.ngram, len(problems), seen.too_short, ids, method, right)


def seen_text(report: SeenReport) -> str:
    """The report as lines."""
    n, found = report.n, len(report.found)
    low, high = wilson_interval(found, n)
    lines = [
        f"{found:,} of {quantity(n, 'question')} ({percent(found / n)}, {interval(low, high)}) "
        f"share {report.ngram} words in a row with {report.training}"
    ]
    if report.too_short:
        lines.append(f"{quantity(report.too_short, 'question')} shorter than that, not looked for")
    if 0 < found < n:
        for name, right, of in (
            ("found there", report.right[0], found),
            ("not found", report.right[1], n - found),
        ):
            bounds = interval(*wilson_interval(right, of))
            lines.append(
                f"  {percent(right / of):>8}  ({bounds})  {title(report.method)}, questions {name}"
            )
    if found:
        more = ", ..." if found > 5 else ""
        lines.append(f"  {', '.join(report.found[:5])}{more}")
    return "\n".join(lines)
