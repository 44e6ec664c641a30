"""Rows of ladder.json against counts made by hand."""

from __future__ import annotations

import json

import pytest

from glassmind.evaluate.ladder.methods import METHODS
from glassmind.evaluate.ladder.rows import COMPARISONS, ladder_row, rows_by_steps
from glassmind.records import Problem, Step, Verdict
from glassmind.statistics import mcnemar_exact, wilson_interval

KEYS = [
    "rung", "slice", "n", "correct", "accuracy", "ci_low", "ci_high", "against", "p_value",
    "tokens_per_problem", "seconds", "comparisons",
]  # fmt: skip


def outcomes(pattern: str, tokens: int = 10) -> list[Verdict]:
    return [Verdict(str(i), "1", mark == "+", tokens + i) for i, mark in enumerate(pattern)]


RESULTS = {
    "base": outcomes("+---------", 2),
    "chain-of-thought": outcomes("++++++----"),
    "single-sample": outcomes("+++++----+"),
    "self-consistency": outcomes("-+++++++++", 100),
}


def test_a_row_is_what_was_counted() -> None:
    row = ladder_row("self-consistency", "test", RESULTS, 12.3456)
    assert list(row) == KEYS
    assert (row["rung"], row["slice"], row["n"], row["correct"]) == (
        "self-consistency",
        "test",
        10,
        9,
    )
    assert row["accuracy"] == 0.9
    assert (row["ci_low"], row["ci_high"]) == wilson_interval(9, 10)
    assert row["tokens_per_problem"] == 104.5
    assert row["seconds"] == 12.35
    assert row["against"] == "chain-of-thought"
    assert row["p_value"] == mcnemar_exact(4, 1) == pytest.approx(0.375)
    assert row["comparisons"] == [
        {"against": "chain-of-thought", "gained": 4, "lost": 1, "p_value": mcnemar_exact(4, 1)},
        {"against": "single-sample", "gained": 4, "lost": 1, "p_value": mcnemar_exact(4, 1)},
    ]
    assert json.loads(json.dumps(row)) == row


def test_the_lowest_rung_is_compared_with_nothing() -> None:
    for rung, results in (("base", RESULTS), ("any-of-k", {"any-of-k": RESULTS["base"]})):
        row = ladder_row(rung, "test", results, 0.0)
        assert list(row) == KEYS
        assert row["against"] is None
        assert row["p_value"] is None
        assert row["comparisons"] == []


def test_a_rung_that_was_not_run_is_not_compared() -> None:
    row = ladder_row("chain-of-thought", "gsm8k", {"chain-of-thought": RESULTS["base"]}, 1.0)
    assert row["against"] is None
    results = {name: RESULTS[name] for name in ("single-sample", "self-consistency")}
    assert ladder_row("self-consistency", "test", results, 1.0)["against"] == "single-sample"


def test_only_known_rungs_are_compared() -> None:
    assert COMPARISONS.keys() <= METHODS.keys()
    assert {name for others in COMPARISONS.values() for name in others} <= METHODS.keys()
    order = list(METHODS)
    assert COMPARISONS["verifier-vote"][0] == "self-consistency"
    for rung, others in COMPARISONS.items():
        assert all(order.index(other) < order.index(rung) for other in others)


def test_accuracy_by_steps() -> None:
    problems = [Problem(str(i), "?", "1", (Step("a"),) * n) for i, n in enumerate((3, 2, 3, 2, 2))]
    found = rows_by_steps("base", "test", problems, outcomes("+-+-+"))
    assert [(row["steps"], row["n"], row["correct"]) for row in found] == [(2, 3, 1), (3, 2, 2)]
    assert (found[0]["ci_low"], found[0]["ci_high"]) == wilson_interval(1, 3)
    assert all(row["rung"] == "base" and row["slice"] == "test" for row in found)
