"""What a ladder shows, said in sentences that the numbers themselves write.

The rule: a step up the ladder is *supported* only where the exact paired test gives p < 0.05 and
the accuracy rose. Where it fell with p < 0.05, that is said as plainly; anything else is "not
supported", whichever way the accuracies happen to point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.ladder.rungs import SLICES, rung_order, rung_title, slice_order
from glassmind.evaluate.run_files import Ladder, LadderRow
from glassmind.evaluate.wording import p_value, percent, points

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
    ordered = sorted(ladder.rows, key=lambda r: (slice_order(r.slice), rung_order(r.rung)))
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
        f"{rung_title(row.rung)} against {rung_title(reference.rung)}: "
        f"{percent(reference.accuracy)} → {percent(row.accuracy)} "
        f"({points(row.accuracy - reference.accuracy)} points, p {_p(p)}). "
    )
    sentence += {
        "supported": "The paired test supports the gain.",
        "lower": "Accuracy went down, and the paired test supports that.",
        "not supported": "This could be chance; nothing is claimed.",
    }[judged]
    return Finding(row.rung, reference.rung, row.slice, judged, sentence)


def summary(ladder: Ladder) -> list[str]:
    """A few sentences for someone who reads nothing else."""
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
        for finding in here:
            if finding.verdict == judged:
                references.setdefault(finding.rung, []).append(rung_title(finding.against))
        if references:
            chosen = [f"{rung_title(r)} against {_listed(a)}" for r, a in references.items()]
            sentences.append(opening.format(slice=first) + "; ".join(chosen) + ".")
    sentences.extend(_best_and_ceiling(ladder))
    return sentences


def _what_was_asked(ladder: Ladder) -> str:
    sizes = {row.slice: row.n for row in ladder.rows}
    parts = [
        f"{sizes[name]:,} {name} problems" + (f" ({SLICES[name]})" if name in SLICES else "")
        for name in sorted(sizes, key=slice_order)
    ]
    if not parts:
        return "The ladder has no rows."
    rungs = len({row.rung for row in ladder.rows} - {"any-of-k"})
    return f"{rungs} ways of answering were tried on the same held-out problems: {_listed(parts)}."


def _best_and_ceiling(ladder: Ladder) -> list[str]:
    slices = sorted({row.slice for row in ladder.rows}, key=slice_order)
    if not slices:
        return []
    rows = [row for row in ladder.rows if row.slice == slices[0]]
    methods = [row for row in rows if row.rung != "any-of-k"]
    sentences = []
    if methods:
        top = max(methods, key=lambda row: row.accuracy)
        sentences.append(
            f"The highest accuracy there is {percent(top.accuracy)} ({rung_title(top.rung)}, "
            f"{top.tokens_per_problem:,.0f} tokens per problem)."
        )
    ceiling, vote = ladder.row("any-of-k", slices[0]), ladder.row("self-consistency", slices[0])
    chosen = ladder.row("verifier-vote", slices[0])
    if ceiling is not None:
        sentence = f"Some sampled chain was right for {percent(ceiling.accuracy)} of them"
        if vote and chosen and ceiling.accuracy > vote.accuracy:
            share = (chosen.accuracy - vote.accuracy) / (ceiling.accuracy - vote.accuracy)
            if share > 0:
                sentence += (
                    "; of the distance from the plain vote to that ceiling, the verifier's vote "
                    f"covers {100 * share:.0f} %"
                )
        sentences.append(sentence + ".")
    return sentences


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
