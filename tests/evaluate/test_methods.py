"""The rungs: the same samples, other ways to choose."""

from __future__ import annotations

import pytest

from glassmind.evaluate.ladder.methods import GREEDY, METHODS, NEEDS_SCORES, verdicts
from glassmind.evaluate.ladder.rungs import RUNGS
from glassmind.records import OUTCOME, Cost, Node, Problem, Trace

PROBLEM = Problem("p", "?", "18")


def chain(answer: str | None, tokens: int, logprob: float, score: float | None) -> Node:
    logprobs = (logprob / tokens,) * tokens
    scores = {} if score is None else {OUTCOME: score}
    cost = Cost(completion_tokens=tokens)
    return Node(
        None, "answer", "", (1,) * tokens, logprobs, finish="stop", answer=answer, scores=scores,
        cost=cost,
    )  # fmt: skip


def trace(chains: list[Node]) -> Trace:
    return Trace.of_chains("p", [[node] for node in chains])


ROW = [
    chain("7", 10, -9.0, 0.2),
    chain("$18", 11, -8.0, 0.6),
    chain("7", 12, -9.5, 0.1),
    chain("5", 13, -1.0, 0.2),
    chain("18.0", 14, -9.0, 0.5),
    chain("9", 15, -3.0, 0.9),
    chain("7.00", 16, -9.0, 0.1),
    chain(None, 17, -0.1, 0.99),
]


@pytest.mark.parametrize(
    ("method", "answer", "tokens"),
    [
        ("base", "7", 10),
        ("chain-of-thought", "7", 10),
        ("single-sample", "7", 10),
        ("self-consistency", "7", 108),
        ("log-probability-vote", "5", 108),
        ("verifier-vote", "9", 108),
        ("verifier-best-of-n", "9", 108),
        ("any-of-k", "18", 108),
    ],
)
def test_each_method_chooses_in_its_way(method: str, answer: str, tokens: int) -> None:
    (found,) = verdicts(method, [PROBLEM], [trace(ROW)])
    assert (found.problem_id, found.answer, found.tokens) == ("p", answer, tokens)
    assert found.correct == (answer == "18")


def test_the_verifier_s_vote_adds_odds() -> None:
    row = [chain("18", 1, -1, 0.6), chain("18", 1, -1, 0.6), chain("7", 1, -1, 0.7)]
    assert verdicts("verifier-vote", [PROBLEM], [trace(row)])[0].answer == "18"  # 1.5 + 1.5 > 2.33
    assert verdicts("verifier-best-of-n", [PROBLEM], [trace(row)])[0].answer == "7"


def test_no_answer_is_a_wrong_answer() -> None:
    row = [chain(None, 3, -1, 0.9), chain("what?", 4, -1, 0.9)]
    for method in METHODS:
        (found,) = verdicts(method, [PROBLEM], [trace(row)])
        assert found.answer is None
        assert not found.correct


def test_any_of_k_is_a_ceiling() -> None:
    for method in METHODS:
        if verdicts(method, [PROBLEM], [trace(ROW)])[0].correct:
            assert verdicts("any-of-k", [PROBLEM], [trace(ROW)])[0].correct


def test_every_method_is_a_rung_and_in_its_order() -> None:
    assert list(METHODS) == list(RUNGS)
    assert {*GREEDY, *NEEDS_SCORES} <= METHODS.keys()


def test_problems_and_samples_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        verdicts("base", [PROBLEM, PROBLEM], [trace(ROW)])


def test_scores_are_needed_where_they_are_used() -> None:
    with pytest.raises(ValueError, match="no score"):
        verdicts("verifier-vote", [PROBLEM], [trace([chain("1", 1, -1, None)])])
