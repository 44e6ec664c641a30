"""What methods share: chains are drawn once, and a smaller number gets the first of a larger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from fixed_model import GREEDY, SAMPLED, FixedModel, chain, session, verify

from glassmind.reason import registry
from glassmind.reason.method import Budget
from glassmind.reason.session import Session
from glassmind.records import Problem, Trace
from glassmind.tokenize import Style

PROBLEMS = [Problem("p0", "a", "1"), Problem("p1", "b", "2")]
CHAINS = {question: [chain(str(n), n + 1, score=0.5) for n in range(8)] for question in "ab"}


def test_chains_are_drawn_once_for_all() -> None:
    model = FixedModel(CHAINS, scored=True)
    shared = Session([model], GREEDY, replace(SAMPLED, samples=8), verify=verify)
    for method in registry.usable(shared.has):
        if not {"tokens", "thinking"} & method.needs:  # those ask for chains of another kind
            method.solve(PROBLEMS, shared, Budget(8))
    assert model.asked == [(("a", "b"), 1, "chain"), (("a", "b"), 8, "chain")]


def test_fewer_are_the_first_of_more() -> None:
    model = FixedModel(CHAINS)
    alone = session(model)
    three = alone.samples(PROBLEMS, 3)
    assert [len(trace.completions) for trace in three] == [3, 3]
    eight = alone.samples(PROBLEMS, 8)
    assert [samples for _, samples, _ in model.asked] == [3, 8]
    assert alone.samples(PROBLEMS, 3) == [trace.first(3) for trace in eight] == three
    assert [samples for _, samples, _ in model.asked] == [3, 8]
    assert three[0].cost.completion_tokens == 1 + 2 + 3


def test_other_problems_have_chains_of_their_own() -> None:
    model = FixedModel(CHAINS)
    alone = session(model)
    (one,) = alone.samples(PROBLEMS[:1], 2)
    assert [c.answer for c in one.completions] == ["0", "1"]
    alone.samples(PROBLEMS, 2)
    alone.samples(PROBLEMS[:1], 2)
    assert [questions for questions, _, _ in model.asked] == [("a",), ("a", "b")]


def test_judged_chains_are_the_samples() -> None:
    model = FixedModel(CHAINS, scored=True)
    alone = session(model)
    judged, plain = alone.judged(PROBLEMS, 4), alone.samples(PROBLEMS, 4)
    assert len(model.asked) == 1
    for one, other in zip(judged, plain, strict=True):
        assert [c.token_ids for c in one.completions] == [c.token_ids for c in other.completions]
        assert one.cost.judged_tokens == 1 + 2 + 3 + 4
        assert other.cost.judged_tokens == 0


def test_a_session_says_what_it_has() -> None:
    direct, written = FixedModel(CHAINS, "direct"), FixedModel(CHAINS, scored=True)
    assert session(direct, answers=False).has == {"direct"}
    assert session(direct, written).has == {
        "direct",
        "chain",
        "verifier",
        "tokens",
        "thinking",
        "answers",
    }
    with pytest.raises(ValueError, match="no model for chain answers"):
        session(direct).samples(PROBLEMS, 1)
    with pytest.raises(ValueError, match="fixed has no verifier"):
        session(direct).judged(PROBLEMS, 1, "direct")


def test_what_is_kept_is_not_drawn() -> None:
    kept: dict[str, list[Trace]] = {}

    def keep(
        name: str, problems: Sequence[Problem], style: Style, make: Callable[[], list[Trace]]
    ) -> list[Trace]:
        if name not in kept:
            made = make()  # first: what it needs is kept before it
            kept[name] = made
        return kept[name]

    models = [FixedModel(CHAINS, scored=True) for _ in range(2)]
    for model in models:
        sampled = replace(SAMPLED, samples=8)
        shared = Session([model], GREEDY, sampled, verify=verify, keep=keep)
        shared.greedy(PROBLEMS)
        shared.judged(PROBLEMS, 2)
    assert list(kept) == ["chain-greedy", "chain-samples-8", "chain-judged-8"]
    assert models[1].asked == []
