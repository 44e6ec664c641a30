"""The frontier: its points against all orders of the chains, its tests, its page, its store."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fixed_model import FixedModel, chain

from glassmind.errors import UserError
from glassmind.evaluate.frontier.page import finding, render_figure, render_frontier
from glassmind.evaluate.frontier.results import (
    Frontier,
    accuracy_interval,
    equal_rows,
    table_rows,
)
from glassmind.evaluate.ladder.names import title
from glassmind.evaluate.provenance import Provenance
from glassmind.pipeline import frontier as frontiers
from glassmind.pipeline.frontier import Questions, measure_frontier, sizes
from glassmind.records import Problem
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import read_record, write_record
from glassmind.statistics import pass_at_k, wilson_interval

PROBLEMS = [Problem(str(number), f"q{number}", "1") for number in range(4)]
ROWS = {
    "q0": [chain("1", 2), chain("1", 3), chain("2", 4), chain("3", 5)],
    "q1": [chain("2", 2), chain("1", 3), chain("2", 4), chain("2", 5)],
    "q2": [chain("1", 2), chain("1", 3), chain("1", 4), chain(None, 5)],
    "q3": [chain("4", 2), chain("5", 3), chain("6", 4), chain("7", 5)],
}
ASKED = ("self-consistency", "adaptive-vote", "any-of-k")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FixedModel:
    fixed = FixedModel(ROWS)
    asked = Questions("test", fixed, PROBLEMS)  # type: ignore[arg-type]
    monkeypatch.setattr(frontiers, "as_llm", lambda source: fixed)
    monkeypatch.setattr(frontiers, "asked_questions", lambda task, llm, limit: asked)
    return fixed


def measured(**how: object) -> Frontier:
    config = SamplingConfig(samples=4, max_new_tokens=8)
    return measure_frontier("test", None, methods=ASKED, sampling=config, **how)  # type: ignore[arg-type]


def test_points_are_means_over_orders(model: FixedModel) -> None:
    found = measured(orders=60)
    assert [point.samples for point in found.of("self-consistency")] == [1, 2, 4]
    one, two, four = found.of("self-consistency")
    # One chain: the share of right ones, 2/4, 1/4, 3/4 and 0.
    assert one.accuracy == pytest.approx((0.5 + 0.25 + 0.75) / 4, abs=0.06)
    assert one.tokens == pytest.approx(3.5, abs=0.2)
    assert two.tokens == pytest.approx(7.0, abs=0.3)
    assert (four.accuracy, four.tokens) == (0.5, 14.0)
    assert one.ci_low <= one.accuracy <= one.ci_high
    assert len(model.asked) == 1  # all from one sampling
    for point, n in zip(found.of("any-of-k"), (1, 2, 4), strict=True):
        right = {"q0": (0, 1), "q1": (1,), "q2": (0, 1, 2), "q3": ()}
        exact = [
            sum(bool(set(taken) & set(numbers)) for taken in combinations(range(4), n))
            / len(list(combinations(range(4), n)))
            for numbers in right.values()
        ]
        assert point.accuracy == pytest.approx(sum(exact) / 4)
        assert point.tokens == 3.5 * n


def test_methods_are_tested_at_equal_tokens(model: FixedModel) -> None:
    found = measured(orders=1)
    assert [(test.method, test.against, test.tokens) for test in found.equal] == [
        ("adaptive-vote", "self-consistency", tokens) for tokens in (4, 7, 14)
    ]
    assert all(test.p_value == 1.0 and test.gained == test.lost == 0 for test in found.equal)
    assert len(equal_rows(found)) == 3 and len(table_rows(found)) == len(found.points) == 9


def test_the_record_and_the_page(model: FixedModel, tmp_path: Path) -> None:
    found = measured()
    write_record(tmp_path / "frontier.json", found)
    assert read_record(Frontier, tmp_path / "frontier.json") == found
    page = render_frontier(found)
    assert page.count("<svg") == 2 and "<script" not in page and "http" not in page.lower()[200:]
    assert finding(found) in page
    figure = render_figure(found)
    assert figure is not None and ElementTree.fromstring(figure).tag.endswith("svg")
    assert all(title(name) in figure for name in found.methods)
    assert finding(found).startswith("The highest accuracy is 50.0 %")


def test_stored_samples_are_not_drawn_again(
    model: FixedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_of = Provenance("fixed", "0", "test", "0", 4, "bare", "0", 0, 4, 1.0, 0, 1.0, 8, "off", 0)
    monkeypatch.setattr(frontiers, "provenance", lambda *how: made_of)
    first = measured(store=tmp_path)
    asked = len(model.asked)
    again = measured(store=tmp_path)
    assert len(model.asked) == asked
    assert again.points == first.points


def test_a_task_s_own_grader_decides(model: FixedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Questions("test", model, PROBLEMS, lambda problem, solution: True)  # type: ignore[arg-type]
    monkeypatch.setattr(frontiers, "asked_questions", lambda task, llm, limit: asked)
    config = SamplingConfig(samples=2, max_new_tokens=8)
    found = measure_frontier("test", None, methods=["self-consistency"], sampling=config)
    assert [point.accuracy for point in found.points] == [1.0, 1.0]
    with pytest.raises(UserError, match="any-of-k needs the reference answers"):
        measure_frontier("test", None, methods=["any-of-k"], sampling=config)


def test_what_cannot_be_measured_is_refused(model: FixedModel) -> None:
    with pytest.raises(UserError, match="orders must be at least 1, not 0"):
        measured(orders=0)
    with pytest.raises(ValueError, match="cannot take 5 of 4"):
        pass_at_k(4, 1, 5)


def test_sizes_and_intervals() -> None:
    assert sizes(1) == [1] and sizes(8) == [1, 2, 4, 8] and sizes(12) == [1, 2, 4, 8, 12]
    assert accuracy_interval([1.0, 0.0, 1.0]) == wilson_interval(2, 3)
    low, high = accuracy_interval([0.5, 1.0, 1.0, 0.75])
    assert 0.0 <= low < 0.8125 < high <= 1.0
