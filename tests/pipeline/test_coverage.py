"""Pass@k before and after training: the numbers by hand, the sentence, the page, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fixed_model import FixedModel, chain

from glassmind.errors import UserError
from glassmind.evaluate.coverage import (
    FILE,
    SCHEMA,
    Coverage,
    coverage_panel,
    coverage_points,
    read_coverage,
    write_coverage_page,
)
from glassmind.pipeline import coverage as coverages
from glassmind.pipeline.coverage import measure_coverage
from glassmind.pipeline.frontier import Questions
from glassmind.records import Problem
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import write_record

PROBLEMS = [Problem(str(number), f"q{number}", "1") for number in range(2)]
BEFORE = {
    "q0": [chain("1", 2), chain("2", 3), chain("2", 4), chain("3", 5)],
    "q1": [chain("2", 2), chain("1", 3), chain("2", 4), chain("2", 5)],
}
AFTER = {
    "q0": [chain("1", 2), chain("1", 3), chain("1", 4), chain(None, 5)],
    "q1": [chain("2", 2), chain("2", 3), chain("2", 4), chain("2", 5)],
}


def test_points_are_those_of_all_choices_of_k(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = FixedModel(BEFORE), FixedModel(AFTER)
    asked = Questions("test", after, PROBLEMS)  # type: ignore[arg-type]
    monkeypatch.setattr(coverages, "asked_questions", lambda task, llm, limit: asked)
    monkeypatch.setattr(coverages, "with_task_prompt", lambda llm, prompt: llm)
    config = SamplingConfig(samples=4, max_new_tokens=8)
    found = measure_coverage("test", before, after, sampling=config)  # type: ignore[arg-type]
    assert [point.k for point in found.points] == [1, 2, 4]
    one, two, four = found.points
    assert (one.before, one.after) == (pytest.approx(0.25), pytest.approx((0.75 + 0) / 2))
    # Of the 6 pairs of chains, 3 have the one right chain; with three right ones, all 6.
    assert (two.before, two.after) == (pytest.approx(0.5), pytest.approx((1 + 0) / 2))
    assert (four.before, four.after) == (1.0, 0.5)
    assert four.difference == pytest.approx(-0.5)
    assert four.low < four.difference < four.high
    own = Questions("test", after, PROBLEMS, lambda problem, solution: True)  # type: ignore[arg-type]
    monkeypatch.setattr(coverages, "asked_questions", lambda task, llm, limit: own)
    with pytest.raises(UserError, match="many right answers"):
        measure_coverage("test", before, after, sampling=config)  # type: ignore[arg-type]
    one_only = Questions("test", after, PROBLEMS[:1])  # type: ignore[arg-type]
    monkeypatch.setattr(coverages, "asked_questions", lambda task, llm, limit: one_only)
    with pytest.raises(UserError, match="at least two"):
        measure_coverage("test", before, after, sampling=config)  # type: ignore[arg-type]


def measured(before: list[int], after: list[int], n: int = 16) -> Coverage:
    """``before`` and ``after`` are right chains of ``n``, repeated over many problems."""
    sides = [[(n, right) for right in each * 20] for each in (before, after)]
    points = coverage_points(sides[0], sides[1], [1, 4, 16])
    return Coverage(SCHEMA, "old", "new", "test", 20 * len(before), n, 1.0, 0, tuple(points))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([2, 0, 4], [9, 0, 12], "Sharpened: "),  # the same problems, more often
        ([2, 1, 4], [12, 0, 14], "Sharpened, and narrowed"),  # one is not found any more
        ([2, 0, 4], [9, 6, 12], "Learned"),  # one that was never found
        ([8, 8, 8], [2, 2, 2], "It became worse"),
        ([2, 0, 4], [2, 0, 4], "No supported change"),
    ],
)
def test_the_finding(before: list[int], after: list[int], said: str, tmp_path: Path) -> None:
    coverage = measured(before, after)
    assert coverage.finding.startswith(said)
    write_coverage_page(replace(coverage, after="<new>"), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "&lt;new&gt;" in page
    assert page.count("<circle") == 2 * 3
    assert coverage_panel(coverage).startswith("<svg")


def test_the_file_is_read_back(tmp_path: Path) -> None:
    assert read_coverage(tmp_path / FILE) is None
    coverage = measured([2, 0], [4, 0])
    write_record(tmp_path / FILE, coverage)
    assert read_coverage(tmp_path / FILE) == coverage
    values = json.loads((tmp_path / FILE).read_text("utf-8"))
    (tmp_path / FILE).write_text(json.dumps(values | {"points": []}))
    with pytest.raises(UserError, match="measure again"):
        read_coverage(tmp_path / FILE)
