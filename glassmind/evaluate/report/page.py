"""A run folder as one self-contained page, ``report.html``.

The page is a Jinja template with a style sheet, filled from the folder's files. It has no script
and loads nothing (its content security policy forbids both), so it can be mailed, archived and
opened offline. Folding uses HTML's ``<details>``; light or dark follows the reader's setting.
Questions, steps and answers are data from a model and are escaped by the template.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmind.evaluate.coverage import coverage_keys, coverage_panel
from glassmind.evaluate.glossary import TERMS
from glassmind.evaluate.ladder.findings import Finding, findings, summary, verdict
from glassmind.evaluate.ladder.names import SLICES, in_summary, order, slice_order, title
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.report.examples_section import answers, shade, shown_examples
from glassmind.evaluate.report.heat_map import MAX_TOKENS, attention_map
from glassmind.evaluate.report.plots import (
    ladder_panel,
    legend,
    method_class,
    steps_panel,
    tokens_panel,
    votes_panel,
)
from glassmind.evaluate.report.recipe_section import changes_of
from glassmind.evaluate.report.training_section import stages_of, training_summary
from glassmind.evaluate.run_files import (
    DependencyAttention,
    Ladder,
    LadderRow,
    RunFiles,
    read_run_files,
)
from glassmind.evaluate.wording import count, duration, interval, p_value, percent, points
from glassmind.files import write_text
from glassmind.quantity import quantity
from glassmind.reason import registry


def write_report(run_folder: Path) -> Path:
    """Make ``report.html`` in a run folder from the files there, and return its path.

    Raises ``UserError`` where the folder is not a run's, a file in it is malformed, or the report
    cannot be written.
    """
    path = run_folder / "report.html"
    write_text(path, render_report(read_run_files(run_folder)))
    return path


def render_report(files: RunFiles) -> str:
    """The whole page as HTML text."""
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent, "points": points, "p_value": p_value, "count": count,
        "duration": duration, "title": title, "method_class": method_class,
        "stage_class": _stage_class, "shade": shade, "unbroken": _unbroken, "answers": answers,
        "quantity": quantity,
    }  # fmt: skip
    return render_page(
        "report/report.html.jinja",
        filters,
        files=files,
        ladder=files.ladder,
        summary=training_summary(files) if files.ladder is None else summary(files.ladder),
        stages=stages_of(files),
        **({} if files.ladder is None else _ladder_parts(files.ladder)),
        **_curve_parts(files),
        examples=None if files.examples is None else shown_examples(files.examples),
        changes=None if files.recipe is None else changes_of(files.recipe),
        attention=files.attention,
        attention_svg=None if files.attention is None else attention_map(files.attention),
        attention_limit=MAX_TOKENS,
        dependencies=files.dependencies,
        coverage=files.coverage,
        coverage_svg=None if files.coverage is None else coverage_panel(files.coverage),
        coverage_legend=None if files.coverage is None else coverage_keys(files.coverage),
        best_share=None if files.dependencies is None else _best(files.dependencies),
    )


@dataclass(frozen=True, slots=True)
class _TableRow:
    """A row of the table below the ladder's chart."""

    row: LadderRow
    interval: str
    difference: float | None
    verdict: str


def _ladder_parts(ladder: Ladder) -> dict[str, object]:
    """Pictures, table and comparisons of the ladder, by slice."""
    slices = sorted({row.slice for row in ladder.rows}, key=slice_order)
    by_slice = {name: [row for row in ladder.rows if row.slice == name] for name in slices}
    found: dict[str, list[Finding]] = {name: [] for name in slices}
    for finding in findings(ladder):
        found[finding.slice].append(finding)
    table = {
        name: [_table_row(ladder, row) for row in sorted(rows, key=lambda r: order(r.rung))]
        for name, rows in by_slice.items()
    }
    first = slices[0] if slices else None
    rungs = sorted({row.rung for row in ladder.rows}, key=order)
    return {
        "slices": slices,
        "about_slice": SLICES,
        "ladder_svg": {name: ladder_panel(rows, name) for name, rows in by_slice.items()},
        "table": table,
        "findings": found,
        "explanations": [
            (name, method.explanation) for name in rungs if (method := registry.find(name))
        ],
        "tokens_svg": tokens_panel(by_slice[first], first) if first else None,
        "tokens_legend": legend(rungs),
        "first_slice": first,
        "words": [term for term in TERMS if term.report],
    }


def _table_row(ladder: Ladder, row: LadderRow) -> _TableRow:
    reference = ladder.row(row.against, row.slice) if row.against is not None else None
    return _TableRow(
        row=row,
        interval=interval(row.ci_low, row.ci_high),
        difference=None if reference is None else row.accuracy - reference.accuracy,
        verdict="" if reference is None else verdict(row, reference, row.p_value),
    )


def _curve_parts(files: RunFiles) -> dict[str, object]:
    """Votes and accuracy by steps; ``None`` if the run has no such file."""
    votes = [row for row in files.votes or () if row.n > 0 and row.tokens_per_problem > 0]
    # More lines than these few methods would be hard to follow.
    by_steps = [r for r in files.by_steps or () if in_summary(r.rung) and r.n > 0]
    slices = sorted({row.slice for row in by_steps}, key=slice_order)
    return {
        "votes_svg": votes_panel(votes) if votes else None,
        "votes_legend": legend([row.rung for row in votes]),
        "steps_svg": {name: steps_panel(by_steps, name) for name in slices},
        "steps_legend": legend([row.rung for row in by_steps]),
    }


def _stage_class(stage: str) -> str:
    """A stage's colour: that of the method of the same name, or of the first that needs it."""
    if registry.find(stage) is not None:
        return method_class(stage)
    needing = (method_class(m.name) for m in registry.methods() if stage in m.needs)
    return next(needing, "hue-1")


def _best(dependencies: DependencyAttention) -> float:
    """The largest share of any head."""
    return max((share for layer in dependencies.after.shares for share in layer), default=0.0)


def _unbroken(sentence: str) -> str:
    """A sentence whose numbers keep their signs and units on the same line."""
    for tight in (" %", "p < ", "p = ", " points"):
        sentence = sentence.replace(tight, tight.replace(" ", "\u00a0"))
    return sentence
