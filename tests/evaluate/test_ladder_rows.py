"""Rows of ladder.json against counts made by hand."""

from __future__ import annotations

import pytest

from glassmind.evaluate.ladder.rows import ladder_row, rows_by_steps, votes_row
from glassmind.evaluate.run_files import Comparison, LadderRow, StepsRow, VotesRow
from glassmind.reason import registry
from glassmind.records import Cost, Problem, Step, Verdict
from glassmind.serialization import decode, encode
from glassmind.statistics import mcnemar_exact, wilson_interval


def outcomes(pattern: str, tokens: int = 10, judged: int = 0) -> list[Verdict]:
    return [
        Verdict(str(i), "1", mark == "+", Cost(7, tokens + i, judged, 0.25))
        for i, mark in enumerate(pattern)
    ]


RESULTS = {
    "direct": outcomes("+---------", 2),
    "chain-of-thought": outcomes("++++++----"),
    "single-sample": outcomes("+++++----+"),
    "self-consistency": outcomes("-+++++++++", 100),
}


def row_of(name: str, results: dict[str, list[Verdict]]) -> LadderRow:
    return ladder_row(registry.named(name), "test", results)


def test_a_row_is_what_was_counted() -> None:
    row = row_of("self-consistency", RESULTS)
    low, high = wilson_interval(9, 10)
    assert row == LadderRow(
        rung="self-consistency",
        slice="test",
        n=10,
        correct=9,
        accuracy=0.9,
        ci_low=low,
        ci_high=high,
        completion_tokens=104.5,
        seconds=0.25,
        prompt_tokens=7,
        judged_tokens=0,
        against="chain-of-thought",
        p_value=mcnemar_exact(4, 1),
        comparisons=(
            Comparison("chain-of-thought", mcnemar_exact(4, 1), 4, 1),
            Comparison("single-sample", mcnemar_exact(4, 1), 4, 1),
        ),
    )
    assert row.p_value == pytest.approx(0.375)
    assert decode(LadderRow, encode(row), "row") == row


def test_what_a_verifier_reads_is_part_of_the_tokens() -> None:
    row = row_of("verifier-vote", {"verifier-vote": outcomes("++", 100, judged=40)})
    assert (row.completion_tokens, row.judged_tokens, row.tokens) == (100.5, 40, 140.5)
    votes = votes_row(registry.named("verifier-vote"), 4, outcomes("+-", 100, judged=40))
    assert votes == VotesRow("verifier-vote", 4, 2, 1, *wilson_interval(1, 2), 140.5)


def test_neither_the_lowest_nor_a_ceiling_is_compared() -> None:
    ceiling = {**RESULTS, "any-of-k": RESULTS["self-consistency"]}
    for row in (row_of("direct", RESULTS), row_of("any-of-k", ceiling)):
        assert (row.against, row.p_value, row.comparisons) == (None, None, ())


def test_a_method_that_was_not_run_is_not_compared() -> None:
    alone = row_of("chain-of-thought", {"chain-of-thought": RESULTS["direct"]})
    assert alone.against is None
    results = {name: RESULTS[name] for name in ("single-sample", "self-consistency")}
    assert row_of("self-consistency", results).against == "single-sample"


def test_accuracy_by_steps() -> None:
    problems = [Problem(str(i), "?", "1", (Step("a"),) * n) for i, n in enumerate((3, 2, 3, 2, 2))]
    found = rows_by_steps(registry.named("direct"), "test", problems, outcomes("+-+-+"))
    assert found == [
        StepsRow("direct", "test", 2, 3, 1, *wilson_interval(1, 3)),
        StepsRow("direct", "test", 3, 2, 2, *wilson_interval(2, 2)),
    ]
