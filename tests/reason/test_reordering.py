"""Chains in another order: nothing is lost, and judging costs what it would have cost."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from fixed_model import GREEDY, SAMPLED, FixedModel, chain, verify

from glassmind.reason.reordering import reordered, shuffled
from glassmind.reason.session import Session
from glassmind.records import OUTCOME, Cost, Node, Problem, Trace

QUESTION = 9


def node(token: int, judged: int) -> Node:
    ids = (token,) * (2 + token)
    cost = Cost(completion_tokens=len(ids), judged_tokens=judged)
    return Node(None, "answer", "", ids, answer=str(token), finish="stop", cost=cost,
                scores={OUTCOME: token / 10})  # fmt: skip


def test_equal_chains_are_judged_once_and_the_question_with_the_first() -> None:
    # Chains 1, 1, 2: the second 1 was not read again, and the question with the first chain.
    nodes = [node(1, 3 + QUESTION), node(1, 0), node(2, 4)]
    trace = Trace.of_chains("p", [[one] for one in nodes], Cost(prompt_tokens=5))
    for order in permutations(range(3)):
        other = reordered(trace, order)
        assert [c.answer for c in other.completions] == [
            trace.completions[number].answer for number in order
        ]
        assert other.cost == trace.cost
        read: set[str | None] = set()
        for number in range(3):
            read.add(other.completions[number].answer)
            expected = QUESTION + sum(2 + int(answer or 0) for answer in read)
            assert other.first(number + 1).cost.judged_tokens == expected


def test_a_session_is_shuffled_as_a_whole() -> None:
    problems = [Problem(str(number), f"q{number}", "1") for number in range(3)]
    model = FixedModel({p.question: [chain(str(n), n + 1, score=0.5) for n in range(6)]
                        for p in problems}, scored=True)  # fmt: skip
    session = Session([model], GREEDY, replace(SAMPLED, samples=6), verify=verify)
    session.judged(problems, 6)
    orders = set()
    for seed in range(4):
        other = session.shuffled(seed)
        assert other.samples(problems, 6) == shuffled(session.samples(problems, 6), seed)
        for plain, judged in zip(
            other.samples(problems, 3), other.judged(problems, 3), strict=True
        ):
            answers = [c.answer for c in plain.completions]
            assert answers == [c.answer for c in judged.completions]
            orders.add(tuple(answers))
    assert len(orders) > 6
    assert len(model.asked) == 1
