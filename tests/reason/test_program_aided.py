"""Program-aided: chains are evaluated anew; free text is asked for a program."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from fixed_model import FixedModel, chain, session
from scripted_steps import ScriptedSteps

from glassmind.errors import UserError
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.methods.written_program import REQUEST
from glassmind.records import Problem

PROBLEM = Problem("p", "?", "30")
SCRIPT = {
    (): ["pencils: 3*12=35", "pencils: 3+12=15", "pencils: 3*12=36"],
    ("pencils: 3*12=35",): ["left: 35-6=29"],
    ("pencils: 3*12=35", "left: 35-6=29"): ["= 29"],
    ("pencils: 3+12=15",): ["left: 15-6=9"],
    ("pencils: 3+12=15", "left: 15-6=9"): ["= 9"],
    ("pencils: 3*12=36",): ["left: 36-6=30"],
    ("pencils: 3*12=36", "left: 36-6=30"): ["= 30"],
}
RIGHT = ("pencils: 3*12=36", "left: 36-6=30", "= 30")


def solved(name: str, model: ScriptedSteps, n: int) -> Solution:
    (found,) = registry.named(name).solve([PROBLEM], model.session(samples=n), Budget(n))
    return found


def test_a_slip_is_corrected_and_carried_on() -> None:
    model = ScriptedSteps(SCRIPT)
    found = solved("program-aided", model, 3)
    assert found.answer == "30" and found.chosen == 2  # the one that the model itself wrote
    assert [c.answer for c in found.trace.completions] == ["30", "9", "30"]
    assert [c.steps for c in found.trace.completions] == [RIGHT[:2], RIGHT_PLAN_WRONG, RIGHT[:2]]
    mended, wrong, right = found.trace.completions
    assert {node.author for node in mended.nodes} == {"tool"}
    assert {node.author for chain in (wrong, right) for node in chain.nodes} == {"model"}
    assert mended.token_ids == right.token_ids
    assert found.cost.completion_tokens == model.written


RIGHT_PLAN_WRONG = ("pencils: 3+12=15", "left: 15-6=9")


def test_fewer_chains_are_the_first_of_more() -> None:
    for name in ("program-aided", "program-aided-verifier-vote"):
        model = ScriptedSteps(SCRIPT)
        shared = model.session(samples=3)
        method = registry.named(name)
        more, fewer = (method.solve([PROBLEM], shared, Budget(n))[0] for n in (3, 2))
        assert fewer.trace == more.trace.first(2)
        assert model.continued == 1


def test_the_verifier_reads_the_corrected_chains() -> None:
    model = ScriptedSteps(SCRIPT, {RIGHT: 0.6, (*RIGHT_PLAN_WRONG, "= 9"): 0.85})
    found = solved("program-aided-verifier-vote", model, 3)
    assert set(model.read) == {RIGHT, (*RIGHT_PLAN_WRONG, "= 9")}
    assert found.answer == "9"  # odds of 5.7 against twice 1.5, each to the power 0.7
    assert solved("program-aided", model, 3).answer == "30"


def test_of_a_reply_in_free_text_only_the_answer_changes() -> None:
    reply = replace(chain("35", 5), kind="text", text="3*12 = 35\nSo there are 35.")
    (found,) = registry.named("program-aided").solve(
        [PROBLEM], session(FixedModel({"?": [reply]})), Budget(1)
    )
    assert found.answer == "36"
    assert found.trace.nodes == (replace(reply, answer="36"),)


@dataclass
class Instructed(FixedModel):
    """A model that does as it is told."""

    follows_instructions: bool = True


def test_a_model_that_follows_instructions_writes_a_program() -> None:
    texts = [
        "boxes = 3\npencils = boxes * 12\nanswer = pencils - 6",
        "pencils = 3 * 12\nleft = pencils - 6",
        "I would say it is 7.",
    ]
    replies = [replace(chain("7", 5), kind="text", text=text) for text in texts]
    asking = session(Instructed({f"?\n\n{REQUEST}": replies}))
    method = registry.named("written-program")
    (found,) = method.solve([PROBLEM], asking, Budget(3))
    assert [c.answer for c in found.trace.completions] == ["30", "30", "7"]
    assert found.answer == "30"
    assert found.cost.completion_tokens == 15
    assert method in registry.usable(asking.has)
    with pytest.raises(UserError, match="written-program needs a model that follows instructions"):
        registry.require(method, session(FixedModel({})).has)
