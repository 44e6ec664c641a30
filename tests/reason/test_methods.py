"""The methods: the same chains, other ways to choose."""

from __future__ import annotations

import pytest
from fixed_model import FixedModel, chain, session

from glassmind.evaluate.ladder.grading import verdicts
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.needs import Need
from glassmind.records import Node, Problem, Trace, Verdict

PROBLEM = Problem("p", "?", "18")
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

HAS: tuple[Need, ...] = ("direct", "chain", "verifier", "answers")


def solved(name: str, row: list[Node]) -> tuple[Solution, Verdict]:
    models = FixedModel({"?": row}, "chain", scored=True), FixedModel({"?": row}, "direct")
    found = registry.named(name).solve([PROBLEM], session(*models), Budget(len(row)))
    return found[0], verdicts([PROBLEM], found)[0]


@pytest.mark.parametrize(
    ("method", "answer", "tokens"),
    [
        ("direct", "7", 10),
        ("chain-of-thought", "7", 10),
        ("single-sample", "7", 10),
        ("self-consistency", "7", 108),
        ("program-aided", "7", 108),
        ("log-probability-vote", "5", 108),
        ("verifier-vote", "9", 108),
        ("verifier-best-of-n", "9", 108),
        ("any-of-k", "18", 108),
    ],
)
def test_each_method_chooses_in_its_way(method: str, answer: str, tokens: int) -> None:
    solution, verdict = solved(method, ROW)
    assert (solution.problem_id, solution.answer) == ("p", answer)
    assert solution.cost.prompt_tokens == 1
    assert solution.cost.completion_tokens == tokens
    assert solution.cost.judged_tokens == (tokens if "verifier" in method else 0)
    assert solution.cost == solution.trace.cost == verdict.cost
    assert verdict.correct == (answer == "18")


def test_the_verifier_s_vote_adds_odds() -> None:
    row = [chain("18", 1, -1, 0.6), chain("18", 1, -1, 0.6), chain("7", 1, -1, 0.7)]
    assert solved("verifier-vote", row)[0].answer == "18"  # 1.5 + 1.5 > 2.33
    assert solved("verifier-best-of-n", row)[0].answer == "7"


def test_no_answer_is_a_wrong_answer() -> None:
    row = [chain(None, 3, -1, 0.9), chain(None, 4, -1, 0.9)]
    for method in registry.usual(HAS):
        solution, verdict = solved(method.name, row)
        assert solution.answer is None
        assert not verdict.correct


def test_any_of_k_is_a_ceiling() -> None:
    for method in registry.usual(HAS):
        if solved(method.name, ROW)[1].correct:
            assert solved("any-of-k", ROW)[1].correct


def test_scores_are_needed_where_they_are_used() -> None:
    with pytest.raises(ValueError, match="no score"):
        solved("verifier-vote", [chain("1")])


def test_solutions_must_be_those_of_the_problems() -> None:
    (solution,) = registry.named("direct").solve(
        [PROBLEM], session(FixedModel({"?": ROW}, "direct")), Budget()
    )
    with pytest.raises(ValueError, match="zip"):
        verdicts([PROBLEM, PROBLEM], [solution])
    other = Solution.of("1", Trace("other"))
    with pytest.raises(ValueError, match="solution of other stands where that of p belongs"):
        verdicts([PROBLEM], [other])


def test_a_calculator_leaves_nothing_to_methods_that_look_for_false_equations() -> None:
    plain = {method.name for method in registry.usual({*HAS, "steps"})}
    with_one = {method.name for method in registry.usual({*HAS, "steps", "calculator"})}
    assert with_one - plain == {"plain-chain"}
    assert plain - with_one == {
        "checked-vote",
        "checked-verifier-vote",
        "program-aided",
        "program-aided-verifier-vote",
    }
