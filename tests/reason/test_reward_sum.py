"""Sums of rewards as people write them, and rewards that fail."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glassmind.errors import UserError
from glassmind.reason import reward_registry
from glassmind.reason.reward import Reward
from glassmind.reason.reward_scoring import score_all
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Node, Problem, Trace

PROBLEM = Problem("p-1", "How many?", "2")
GROUP = Trace.of_chains(
    "p-1", [[Node(None, "answer", x, finish="stop", answer=x)] for x in ("2", "3")]
).completions


@pytest.mark.parametrize(
    ("text", "names", "weights"),
    [
        ("answer", ("answer",), (1.0,)),
        ("answer + 0.2 * steps", ("answer", "steps"), (1.0, 0.2)),
        ("  .5*steps+2.*answer ", ("steps", "answer"), (0.5, 2.0)),
        ("answer - 0.1 * steps", ("answer", "steps"), (1.0, -0.1)),
        ("- verifier + answer", ("verifier", "answer"), (-1.0, 1.0)),
    ],
)
def test_a_sum_is_read(text: str, names: tuple[str, ...], weights: tuple[float, ...]) -> None:
    found = parse_reward(text)
    assert (found.names, found.weights) == (names, weights)
    assert ("verifier" in found.needs) == ("verifier" in names)


@pytest.mark.parametrize(
    "text",
    ["", "answer +", "answer steps", "0.2 *", "answer * 2", "answer + + steps", "(answer)",
     "answer + 1e3 * steps", "__import__('os')", "answer; steps", "answer" + " + steps" * 100],
)  # fmt: skip
def test_what_is_no_sum_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a sum of rewards|there is no reward|twice"):
        parse_reward(text)


def test_a_reward_that_is_not_there_or_there_twice() -> None:
    with pytest.raises(UserError, match="there is no reward 'kindness'"):
        parse_reward("answer + kindness")
    with pytest.raises(UserError, match="has answer twice"):
        parse_reward("answer + 0.5 * answer")


# ------------------------------------------------------------------ rewards that fail


def made(score: Callable[..., Any]) -> Reward:
    return Reward("odd", "odd", "An odd reward.", score)


def test_rewards_of_a_group() -> None:
    answer = reward_registry.named("answer")
    twice = made(lambda problem, completion: 2 * completion.sample)
    assert score_all([answer, twice], PROBLEM, GROUP).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert score_all([answer], PROBLEM, ()).shape == (0, 1)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (math.nan, "is 'nan', and must be a finite number"),
        (math.inf, "is 'inf'"),
        ("1.0", "is '1.0', and must be a finite number"),
        (None, "is 'None'"),
        ([1.0], r"is '\[1.0\]'"),
    ],
)
def test_a_reward_that_is_no_number(value: object, sentence: str) -> None:
    where = "the reward odd of completion 0 of p-1"
    with pytest.raises(UserError, match=f"{where} {sentence}"):
        score_all([made(lambda problem, completion: value)], PROBLEM, GROUP)


def test_a_reward_that_raises() -> None:
    def fails(problem: Problem, completion: object) -> float:
        raise ZeroDivisionError("division\nby zero")

    with pytest.raises(UserError, match="odd of completion 0 of p-1 raised ZeroDivisionError: div"):
        score_all([made(fails)], PROBLEM, GROUP)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()  # lets the thread end


def test_a_reward_that_does_not_return(never: threading.Event) -> None:
    def hangs(problem: Problem, completion: object) -> float:
        never.wait()
        return 0.0

    with pytest.raises(UserError, match="odd of completion 0 of p-1 took longer than"):
        score_all([made(hangs)], PROBLEM, GROUP, seconds=0.05)
