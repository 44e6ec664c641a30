"""Votes: counted, weighted, tied, empty."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.reason.vote import (
    answer_key,
    best_of,
    logprob_weights,
    tally,
    verifier_weights,
    vote,
)
from glassmind.records import OUTCOME, Completion, Node, Trace


def chain(answer: str | None, logprob: float = -1.0, score: float | None = None) -> Completion:
    scores = {} if score is None else {OUTCOME: score}
    node = Node(
        None, "answer", "", (1, 2), (logprob / 2,) * 2, finish="stop", answer=answer, scores=scores
    )
    return Trace.of_chains("p", [[node]]).completions[0]


def chains(*answers: str | None) -> list[Completion]:
    return [chain(answer) for answer in answers]


def test_answers_are_compared_as_numbers() -> None:
    row = chains("18", "$18", "18.00", "1,800", "3/4", "0.75", None)
    assert tally(row) == {"18": 3.0, "1800": 1.0, answer_key(row[4]): 2.0}
    assert vote(row) == "18"


def test_answers_that_are_no_numbers_vote_too() -> None:
    row = chains("Blue", "red", "blue ", "(1, 2)", r"\left(1,2\right)", "( 1 , 2.0 )", "")
    assert tally(row) == {"(1, 2)": 3.0, "Blue": 2.0, "red": 1.0}
    assert best_of(row, [0, 0, 1, 0, 0, 0, 2]) == 2


def test_ties_go_to_the_earlier_sample() -> None:
    assert vote(chains("3", "4", "4", "3")) == "3"
    assert list(tally(chains("5", "4", "4", "3"))) == ["4", "5", "3"]


def test_nobody_answered() -> None:
    for row in (chains(), chains(None, None), chains("", " ")):
        assert tally(row) == {}
        assert vote(row) is None
        assert best_of(row, [1.0] * len(row)) is None


def test_weights_decide() -> None:
    row = chains("3", "3", "4", None)
    assert vote(row, [1, 1, 3, 100]) == "4"
    assert tally(row, [0.5, 0.25, 3, 100]) == {"4": 3.0, "3": 0.75}


def test_best_of_takes_one_sample() -> None:
    row = chains("3", "3", "4", None, "$5")
    assert best_of(row, [0.1, 0.2, 0.9, 1.0, 0.9]) == 2  # of equals the earlier
    assert best_of(row, [0.1, 0.2, 0.8, 1.0, 0.9]) == 4


def test_logprob_weights_are_relative_probabilities() -> None:
    row = [chain("1", -2.0), chain("2", -1.0), chain("2", -4.0)]
    assert logprob_weights(row) == pytest.approx([math.exp(-1), 1.0, math.exp(-3)])
    far = [chain("1", -5000.0), chain("2", -5001.0)]  # exp of these alone would be 0
    assert logprob_weights(far) == pytest.approx([1.0, math.exp(-1)])


def test_verifier_weights_are_odds() -> None:
    row = [chain("1", score=0.5), chain("1", score=0.8), chain("2", score=0.0)]
    assert verifier_weights(row, 1.0) == pytest.approx([1.0, 4.0, 1 / 999])
    assert verifier_weights(row, 2.0) == pytest.approx([1.0, 16.0, 1 / 999**2])
    assert verifier_weights(row, 0.5) == pytest.approx([1.0, 2.0, 999**-0.5])
    assert verifier_weights(row, 0.0) == [1.0, 1.0, 1.0]
    assert verifier_weights([chain("1", score=1.0)], 1.0) == pytest.approx([999.0])
    plain = verifier_weights(row)
    assert plain[0] == 1.0
    assert plain[2] < plain[0] < plain[1]
    with pytest.raises(ValueError, match="no score"):
        verifier_weights([chain("1")])


@given(st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12))
def test_the_winner_has_the_most_votes(answers: list[str | None]) -> None:
    row = chains(*answers)
    counts = {a: answers.count(a) for a in answers if a is not None}
    assert tally(row) == counts
    winner = vote(row)
    assert (winner is None) == (not counts)
    if winner is not None:
        assert counts[winner] == max(counts.values())
        assert all(
            answers.index(winner) <= answers.index(a) for a in counts if counts[a] == counts[winner]
        )


@given(st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=12))
def test_equal_weights_are_no_weights(answers: list[str]) -> None:
    row = [chain(a, score=0.7) for a in answers]
    assert vote(row, logprob_weights(row)) == vote(row)
    assert vote(row, verifier_weights(row)) == vote(row)
