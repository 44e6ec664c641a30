"""The conclusions from a ladder, as sentences generated from its numbers.

A step up the ladder is *supported* only if the exact paired test gives p < 0.05 and the accuracy
rose. If it fell with p < 0.05, it is *lower*; anything else is *not supported*, whatever the
accuracies are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.ladder.names import (
    SLICES,
    in_summary,
    is_ceiling,
    order,
    slice_order,
    title,
)
from glassmind.evaluate.run_files import Ladder, LadderRow
from glassmind.evaluate.wording import p_value, percent, points
from glassmind.quantity import quantity
from glassmind.reason import registry
from glassmind.reason.method import Method

SIGNIFICANCE = 0.05
"""Below this p-value a difference counts as supported."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison: ``verdict`` is ``supported``, ``not supported`` or ``lower``."""

    rung: str
    against: str
    slice: str
    verdict: str
    sentence: str


def verdict(row: LadderRow, reference: LadderRow, p: float | None) -> str:
    """``supported``, ``not supported`` or ``lower``, for ``row`` compared with ``reference``."""
    if p is None or p >= SIGNIFICANCE or row.correct == reference.correct:
        return "not supported"
    return "supported" if row.accuracy > reference.accuracy else "lower"


def findings(ladder: Ladder) -> list[Finding]:
    """Every comparison in the ladder, by slice and then from the lowest rung up."""
    found = []
    ordered = sorted(ladder.rows, key=lambda r: (slice_order(r.slice), order(r.rung)))
    for row in ordered:
        tests = [(c.against, c.p_value) for c in row.comparisons]
        if not tests and row.against is not None and row.p_value is not None:
            tests = [(row.against, row.p_value)]
        for against, p in tests:
            reference = ladder.row(against, row.slice)
            if reference is not None:
                found.append(_finding(row, reference, p))
    return found


def _finding(row: LadderRow, reference: LadderRow, p: float) -> Finding:
    judged = verdict(row, reference, p)
    sentence = (
        f"{title(row.rung)} against {title(reference.rung)}: "
        f"{percent(reference.accuracy)} → {percent(row.accuracy)} "
        f"({points(row.accuracy - reference.accuracy)} points, p {_p(p)}). "
    )
    sentence += {
        "supported": "The paired test supports the gain.",
        "lower": "Accuracy went down, and the paired test supports that.",
        "not supported": "This could be chance; nothing is claimed.",
    }[judged]
    return Finding(row.rung, reference.rung, row.slice, judged, sentence)


NAMED = 3
"""Comparisons without a supported gain that are named of methods outside the summary; if there are
more, they are counted, and the table has them."""


def summary(ladder: Ladder) -> list[str]:
    """The ladder in a few sentences."""
    sentences = [_what_was_asked(ladder)]
    found = findings(ladder)
    first = min((f.slice for f in found), key=slice_order, default=None)
    here = [f for f in found if f.slice == first]
    for judged, opening in (
        ("supported", "On the {slice} problems the paired test supports these gains: "),
        ("not supported", "No difference is supported for "),
        ("lower", "Accuracy went down, supported by the test, for "),
    ):
        references: dict[str, list[str]] = {}
        told = [finding for finding in here if finding.verdict == judged]
        main = [finding for finding in told if in_summary(finding.rung)]
        others = len(told) - len(main)
        if judged == "supported" or others <= NAMED:
            main, others = told, 0
        for finding in main:
            references.setdefault(finding.rung, []).append(title(finding.against))
        chosen = [f"{title(r)} against {_listed(a)}" for r, a in references.items()]
        if others:
            chosen.append(f"{quantity(others, 'comparison')} of other methods")
        if chosen:
            sentences.append(opening.format(slice=first) + "; ".join(chosen) + ".")
    sentences.extend(_best_and_ceiling(ladder))
    return sentences


def _what_was_asked(ladder: Ladder) -> str:
    sizes = {row.slice: row.n for row in ladder.rows}
    parts = [
        f"{quantity(sizes[name], f'{name} problem')}"
        + (f" ({SLICES[name]})" if name in SLICES else "")
        for name in sorted(sizes, key=slice_order)
    ]
    if not parts:
        return "The ladder has no rows."
    rungs = len({row.rung for row in ladder.rows if not is_ceiling(row.rung)})
    return f"{rungs} ways of answering were tried on the same held-out problems: {_listed(parts)}."


def _best_and_ceiling(ladder: Ladder) -> list[str]:
    slices = sorted({row.slice for row in ladder.rows}, key=slice_order)
    if not slices:
        return []
    rows = [row for row in ladder.rows if row.slice == slices[0]]
    methods = [row for row in rows if not is_ceiling(row.rung)]
    sentences = []
    if methods:
        top = max(methods, key=lambda row: row.accuracy)
        sentences.append(
            f"The highest accuracy there is {percent(top.accuracy)} ({title(top.rung)}, "
            f"{quantity(round(top.tokens), 'token')} per problem)."
        )
    sentences.extend(
        _ceiling(ladder, method, slices[0]) for method in registry.methods() if method.ceiling
    )
    return [sentence for sentence in sentences if sentence]


def _ceiling(ladder: Ladder, method: Method, slice: str) -> str:
    """The accuracy of perfect choosing, and how much of the gap the best method closes."""
    ceiling = ladder.row(method.name, slice)
    if ceiling is None:
        return ""
    sentence = f"Some sampled chain was right for {percent(ceiling.accuracy)} of them"
    below = next((row for o in method.compared_with if (row := ladder.row(o, slice))), None)
    chosen = [
        row
        for row in sorted(ladder.rows, key=lambda row: order(row.rung))
        if row.slice == slice and in_summary(row.rung) and not is_ceiling(row.rung)
    ]
    if below and chosen and ceiling.accuracy > below.accuracy:
        share = (chosen[-1].accuracy - below.accuracy) / (ceiling.accuracy - below.accuracy)
        if share > 0:
            sentence += (
                f"; of the distance from {title(below.rung)} to that ceiling, "
                f"{title(chosen[-1].rung)} covers {100 * share:.0f} %"
            )
    return sentence + "."


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
