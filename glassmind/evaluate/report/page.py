"""A run folder as one page: ``report.html``, which needs nothing but itself.

The page is a Jinja template with a style sheet beside it, filled from the folder's files. It holds
no script and loads nothing (its content security policy forbids both), so it can be mailed,
archived and opened offline; folding is HTML's own ``<details>``, light and dark are the reader's
setting. Questions, steps and answers are data from a model and are escaped by the template.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from glassmind.evaluate.ladder.findings import Finding, findings, summary, verdict
from glassmind.evaluate.ladder.rungs import RUNGS, SLICES, rung_order, rung_title, slice_order
from glassmind.evaluate.report.heat_map import MAX_TOKENS, attention_map
from glassmind.evaluate.report.plots import (
    ladder_panel,
    legend,
    rung_class,
    steps_panel,
    tokens_panel,
    votes_panel,
)
from glassmind.evaluate.report.training_section import stages_of, training_summary
from glassmind.evaluate.run_files import (
    Chain,
    Example,
    Ladder,
    LadderRow,
    RunFiles,
    read_run_files,
)
from glassmind.evaluate.wording import count, duration, interval, p_value, percent, points
from glassmind.files import write_text
from glassmind.grade import grade

MAX_GROUPS = 64
"""Of one example at most so many different chains are shown, the most frequent first."""

# Five methods are as many lines as an eye can follow.
_SHOWN_BY_STEPS = ("base", "chain-of-thought", "self-consistency", "verifier-vote", "any-of-k")


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
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, points=points, p_value=p_value, count=count, duration=duration,
        rung_title=rung_title, rung_class=rung_class, stage_class=_stage_class, shade=_shade,
        svg=Markup, unbroken=_unbroken, answers=_answers,
    )  # fmt: skip
    here = resources.files("glassmind.evaluate")
    style = here.joinpath("report.css").read_text("utf-8")
    words = here.joinpath("report", "report.html.jinja").read_text("utf-8")
    template = environment.from_string(words)
    page: str = template.render(
        files=files,
        ladder=files.ladder,
        style=Markup(style),
        summary=training_summary(files) if files.ladder is None else summary(files.ladder),
        stages=stages_of(files),
        **({} if files.ladder is None else _ladder_parts(files.ladder)),
        **_curve_parts(files),
        examples=None if files.examples is None else _examples(files.examples),
        attention=files.attention,
        attention_svg=None if files.attention is None else attention_map(files.attention),
        attention_limit=MAX_TOKENS,
    )
    return page


@dataclass(frozen=True, slots=True)
class _TableRow:
    """A line of the numbers behind the ladder's picture."""

    row: LadderRow
    interval: str
    difference: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class _Group:
    """Chains that say the same, word for word."""

    chain: Chain
    copies: int


@dataclass(frozen=True, slots=True)
class _Vote:
    answer: str
    votes: int
    share: float
    correct: bool


@dataclass(frozen=True, slots=True)
class _ShownExample:
    example: Example
    groups: tuple[_Group, ...]
    hidden: int
    votes: tuple[_Vote, ...]
    correct_chains: int


def _ladder_parts(ladder: Ladder) -> dict[str, object]:
    """Pictures, table and comparisons of the ladder, by slice."""
    slices = sorted({row.slice for row in ladder.rows}, key=slice_order)
    by_slice = {name: [row for row in ladder.rows if row.slice == name] for name in slices}
    found: dict[str, list[Finding]] = {name: [] for name in slices}
    for finding in findings(ladder):
        found[finding.slice].append(finding)
    table = {
        name: [_table_row(ladder, row) for row in sorted(rows, key=lambda r: rung_order(r.rung))]
        for name, rows in by_slice.items()
    }
    first = slices[0] if slices else None
    rungs = sorted({row.rung for row in ladder.rows}, key=rung_order)
    return {
        "slices": slices,
        "about_slice": SLICES,
        "ladder_svg": {name: ladder_panel(rows, name) for name, rows in by_slice.items()},
        "table": table,
        "findings": found,
        "explanations": [(rung, RUNGS[rung].explanation) for rung in rungs if rung in RUNGS],
        "tokens_svg": tokens_panel(by_slice[first], first) if first else None,
        "tokens_legend": legend(rungs),
        "first_slice": first,
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
    """Votes and accuracy by steps; ``None`` where the run left no such file."""
    votes = [row for row in files.votes or () if row.n > 0 and row.tokens_per_problem > 0]
    by_steps = [r for r in files.by_steps or () if r.rung in _SHOWN_BY_STEPS and r.n > 0]
    slices = sorted({row.slice for row in by_steps}, key=slice_order)
    return {
        "votes_svg": votes_panel(votes) if votes else None,
        "votes_legend": legend([row.rung for row in votes]),
        "steps_svg": {name: steps_panel(by_steps, name) for name in slices},
        "steps_legend": legend([row.rung for row in by_steps]),
    }


def _examples(examples: Sequence[Example]) -> list[_ShownExample]:
    """Solved ones first; identical chains grouped, groups by frequency and then by score."""
    shown = []
    for example in sorted(examples, key=lambda e: not e.solved):
        copies = Counter((chain.steps, chain.answer) for chain in example.chains)
        # The verifier judges equal text equally, so any copy can stand for all.
        first = {(chain.steps, chain.answer): chain for chain in reversed(example.chains)}
        groups = sorted(
            (_Group(first[key], number) for key, number in copies.items()),
            key=lambda g: (-g.copies, -(g.chain.score or 0.0), -g.chain.logprob),
        )
        total = sum(example.vote.values()) or 1
        votes = [
            _Vote(answer, number, number / total, _answers(answer, example))
            for answer, number in sorted(example.vote.items(), key=lambda item: -item[1])
        ]
        correct = sum(chain.correct for chain in example.chains)
        shown.append(
            _ShownExample(
                example,
                tuple(groups[:MAX_GROUPS]),
                len(groups[MAX_GROUPS:]),
                tuple(votes[:MAX_GROUPS]),
                correct,
            )
        )
    return shown


def _answers(given: str | None, example: Example) -> bool:
    """Whether ``given`` is the example's answer."""
    return grade(example.answer, given)


def _stage_class(stage: str) -> str:
    """A stage's colour: its rung's; the verifier's is that of the vote it makes possible."""
    other = "verifier-vote" if stage == "verifier" else "chain-of-thought"
    return rung_class(stage if stage in RUNGS else other)


def _shade(score: float) -> int:
    """Which of the chip's five colours a probability gets, 0 (surely wrong) to 4."""
    return max(0, min(4, int(score * 5)))


def _unbroken(sentence: str) -> str:
    """A sentence whose numbers keep their signs and units on the same line."""
    for tight in (" %", "p < ", "p = ", " points"):
        sentence = sentence.replace(tight, tight.replace(" ", "\u00a0"))
    return sentence
