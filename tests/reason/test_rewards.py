"""Rewards: what each gives, and what is told of them."""

from __future__ import annotations

import pytest

from glassmind.errors import UserError
from glassmind.evaluate.ladder.rewards import reward_row, rewards_text
from glassmind.reason import reward_registry
from glassmind.reason.reward import Reward
from glassmind.records import OUTCOME, REWARD, Completion, Node, Problem, Step, Trace

PROBLEM = Problem(
    "p",
    "Mia has 3 boxes of 12 pencils. She gives 6 away. How many are left?",
    "30",
    (
        Step("pencils: 3*12=36", "*", ("3", "12"), "36", (None, None)),
        Step("left: 36-6=30", "-", ("36", "6"), "30", (0, None)),
    ),
)


def chain(answer: str | None, *steps: str, score: float | None = None) -> list[Node]:
    scores = {} if score is None else {OUTCOME: score}
    last = Node(None, "answer", "", finish="stop", answer=answer, scores=scores)
    return [*(Node(None, "step", step) for step in steps), last]


def completion(*args: str, answer: str | None, score: float | None = None) -> Completion:
    return Trace.of_chains("p", [chain(answer, *args, score=score)]).completions[0]


@pytest.mark.parametrize(
    ("answer", "reward"), [("30", 1.0), ("$30.00", 1.0), ("31", 0.0), (None, 0.0)]
)
def test_a_right_answer_is_right_by_value(answer: str | None, reward: float) -> None:
    assert reward_registry.named("answer").score(PROBLEM, completion(answer=answer)) == reward


@pytest.mark.parametrize(
    ("steps", "reward"),
    [
        (("pencils: 3*12=36", "left: 36-6=30"), 1.0),
        (("pencils: 12*3=36", "left: 36-6=31"), 0.5),
        (("pencils: 3*12=35", "left: 35-6=29"), 0.0),  # what follows a slip cannot be right
        ((), 0.0),
    ],
)
def test_steps_count_while_they_can_lead_to_the_answer(
    steps: tuple[str, ...], reward: float
) -> None:
    assert reward_registry.named("steps").score(PROBLEM, completion(*steps, answer="1")) == reward


def test_where_moves_cannot_be_checked_arithmetic_counts() -> None:
    told = Problem("q", "How many?", "8", (Step("one spider has 8 legs"),))
    steps = completion("3+4=7", "2*2=5", answer="8")
    assert reward_registry.named("steps").score(told, steps) == 0.5


def test_a_verifier_s_reward_needs_its_scores() -> None:
    reward = reward_registry.named("verifier")
    assert reward.score(PROBLEM, completion(answer="1", score=0.25)) == 0.25
    with pytest.raises(ValueError, match="has no verifier's score"):
        reward.score(PROBLEM, completion(answer="1"))


def test_a_reward_model_s_reward_needs_its_scores() -> None:
    reward = reward_registry.named("reward-model")
    trace = Trace.of_chains("p", [chain("1"), []])
    [scored] = trace.with_scores({0: {REWARD: -1.5}}, {}).completions
    assert reward.score(PROBLEM, scored) == -1.5
    with pytest.raises(ValueError, match="has no score of a reward model"):
        reward.score(PROBLEM, trace.completions[0])


def test_a_row_says_where_there_is_something_to_learn() -> None:
    same = Trace.of_chains("p", [chain("30"), chain("30")])
    differing = Trace.of_chains("p", [chain("30"), chain("1")])
    row = reward_row(reward_registry.named("answer"), "test", [PROBLEM, PROBLEM], [same, differing])
    assert (row.n, row.samples, row.mean, row.differing, row.deviation) == (2, 2, 0.75, 0.5, 0.25)
    assert row.ci_low < 0.75 < row.ci_high
    heading, line = rewards_text([row]).splitlines()
    assert heading.split()[:4] == ["reward", "n", "samples", "mean"]
    assert line.split()[:4] == ["answer", "2", "2", "0.750"]


def test_one_chain_a_problem_says_nothing_about_differences() -> None:
    one = Trace.of_chains("p", [chain("30")])
    row = reward_row(reward_registry.named("answer"), "test", [PROBLEM], [one])
    assert (row.mean, row.ci_low, row.ci_high) == (1.0, 1.0, 1.0)
    assert (row.differing, row.deviation) == (None, None)
    assert rewards_text([row]).splitlines()[1].split()[-3:] == ["1.000", "to", "1.000"]


def test_unknown_rewards_are_refused_with_the_list() -> None:
    with pytest.raises(UserError, match="no reward 'length'; the rewards are answer, steps, veri"):
        reward_registry.named("length")
    with pytest.raises(ValueError, match="lower-case words"):
        Reward("Not So", "", "", lambda problem, completion: 0.0)
