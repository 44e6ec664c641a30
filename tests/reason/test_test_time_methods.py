"""The methods that check, stop early, or choose by steps; and budgets of tokens for all methods."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixed_model import GREEDY, SAMPLED, FixedModel, chain, session, verify

from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.session import Session
from glassmind.reason.token_budget import spent, within
from glassmind.records import OUTCOME, PROCESS, Cost, Node, Problem, Trace

PROBLEM = Problem("p", "?", "18")
RIGHT, WRONG = "a: 2*9=18", "a: 2*9=17"


def stepped(answer: str, *steps: str, score: float = 0.5) -> Node:
    """A chain of one node whose lines are its steps."""
    return replace(chain(answer, score=score), kind="text", text="\n".join(steps))


def solved(name: str, row: list[Node], samples: int | None = None) -> Solution:
    drawn = session(FixedModel({"?": row}, scored=True))
    (found,) = registry.named(name).solve([PROBLEM], drawn, Budget(samples or len(row)))
    return found


def test_chains_with_false_equations_do_not_vote() -> None:
    row = [stepped("17", WRONG), stepped("17", WRONG), stepped("18", RIGHT), stepped("5", "b")]
    assert solved("self-consistency", row).answer == "17"
    assert solved("checked-vote", row).answer == "18"
    assert solved("checked-vote", row[:2]).answer == "17"  # nothing else is left to choose from
    assert solved("checked-vote", row).cost.judged_tokens == 0
    judged = [
        stepped("17", WRONG, score=0.99),
        stepped("18", RIGHT, score=0.2),
        stepped("5", score=0.3),
    ]
    assert solved("verifier-vote", judged).answer == "17"
    assert solved("checked-verifier-vote", judged).answer == "5"


def test_scores_are_added_as_they_are() -> None:
    row = [stepped("7", score=0.95), *(stepped("18", score=0.4) for _ in range(3))]
    assert solved("verifier-vote", row).answer == "7"  # odds of 19 against three times 2/3
    assert solved("score-vote", row).answer == "18"  # 0.95 against 1.2


def judged_trace(*chains: tuple[str, float, tuple[float, ...]]) -> Trace:
    """Chains of (answer, outcome, process scores)."""
    found = []
    for answer, outcome, steps in chains:
        nodes = [
            Node(None, "step", "s", scores={PROCESS: score}, cost=Cost(0, 2, 2)) for score in steps
        ]
        end = Node(None, "answer", answer, answer=answer, finish="stop", scores={OUTCOME: outcome})
        found.append([*nodes, end])
    return Trace.of_chains("p", found)


class Judged(Session):
    """A session whose judged chains are given."""

    def __init__(self, trace: Trace) -> None:
        super().__init__([FixedModel({}, scored=True)], GREEDY, SAMPLED, verify=verify)
        self.trace = trace

    def judged(self, problems, n, style="chain"):  # type: ignore[no-untyped-def]
        return [self.trace.first(n)]


def test_steps_are_made_one_number_in_three_ways() -> None:
    trace = judged_trace(
        ("product", 0.1, (0.8, 0.8)),  # 0.64, 0.8, 0.8
        ("min", 0.2, (0.82, 0.85, 0.85)),  # 0.59, 0.82, 0.85
        ("last", 0.3, (0.1, 0.9)),  # 0.09, 0.1, 0.9
        ("outcome", 0.6, ()),
    )
    for name in ("product", "min", "last"):
        (found,) = registry.named(f"process-{name}").solve([PROBLEM], Judged(trace), Budget(4))
        assert found.answer == name
    (found,) = registry.named("verifier-best-of-n").solve([PROBLEM], Judged(trace), Budget(4))
    assert found.answer == "outcome"


@pytest.mark.parametrize("name", ["adaptive-vote", "adaptive-vote-by-shape"])
def test_an_adaptive_vote_costs_what_it_read(name: str) -> None:
    row = [chain(answer, tokens) for tokens, answer in enumerate("aaaaaabbbbbbbbbb", 1)]
    model = FixedModel({"?": row})
    shared = Session([model], GREEDY, replace(SAMPLED, samples=16), verify=verify)
    (found,) = registry.named(name).solve([PROBLEM], shared, Budget(16))
    read = len(found.trace.completions)
    assert found.answer == "a" and read < 7
    assert found.cost.completion_tokens == read * (read + 1) // 2
    (whole,) = registry.named("self-consistency").solve([PROBLEM], shared, Budget(16))
    assert whole.answer == "b"
    assert [samples for _, samples, _ in model.asked] == [16]  # the same chains


def test_an_adaptive_vote_draws_only_for_problems_that_are_open() -> None:
    sure, unsure = Problem("s", "sure", "1"), Problem("u", "unsure", "1")
    rows = {"sure": [chain("1", 1)] * 4, "unsure": [chain("1", 1), chain("2", 1)] * 2}
    model = FixedModel(rows)
    solutions = registry.named("adaptive-vote").solve([sure, unsure], session(model), Budget(10))
    assert [(asked, samples) for asked, samples, _ in model.asked] == [
        (("sure", "unsure"), 4),
        (("unsure",), 4),
        (("unsure",), 2),
    ]
    assert [len(one.trace.completions) for one in solutions] == [4, 10]
    assert [one.cost.completion_tokens for one in solutions] == [4, 10]
    assert solutions[1].cost.prompt_tokens == 3 * len("unsure")


ROW = [chain(str(number % 3), 3 + number, score=0.2 + number / 10) for number in range(6)]


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 9, 10, 23, 1_000])
def test_no_method_exceeds_its_tokens(tokens: int) -> None:
    model, direct = FixedModel({"?": ROW}, scored=True), FixedModel({"?": ROW}, "direct")
    for method in registry.usable(session(model, direct).has):
        (free,) = method.solve([PROBLEM], session(model, direct), Budget(6))
        (kept,) = method.solve([PROBLEM], session(model, direct), Budget(6, tokens=tokens))
        assert spent(kept.cost) <= tokens, method.name
        if "verifier" not in method.needs:  # no verifier begins a chain that it cannot finish
            assert spent(kept.cost) == min(tokens, spent(free.cost)), method.name
        if spent(free.cost) <= tokens:
            assert kept == free
        again = method.solve([PROBLEM], session(model, direct), Budget(6, tokens=tokens))
        assert again == [kept]


def test_a_chain_that_does_not_fit_is_cut_and_does_not_vote() -> None:
    node = Node(
        None, "step", "x", (1, 2), (-0.5, -0.25), scores={PROCESS: 0.5}, cost=Cost(0, 2, 2, 4.0)
    )
    end = replace(node, kind="answer", text="18", answer="18", finish="stop", scores={OUTCOME: 0.9})
    trace = Trace.of_chains("p", [[node, end], [node, end]], Cost(prompt_tokens=7))
    assert within(trace, None) is trace
    assert within(trace, 16) is trace
    cut = within(trace, 11)
    assert [c.answer for c in cut.completions] == ["18", None]
    first, second = cut.completions
    assert first.nodes == trace.completions[0].nodes
    assert [len(n.token_ids) for n in second.nodes] == [2, 1]
    assert (second.finish, second.score, second.step_scores) == ("length", 0.0, ())
    assert second.logprobs == (-0.5, -0.25, -0.5)
    assert cut.cost == Cost(7, 7, 4)
    nothing = within(trace, 0)
    assert [c.token_ids for c in nothing.completions] == [()]
