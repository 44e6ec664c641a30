"""Stored answers under other graders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.evaluate import graders
from glassmind.evaluate.autopsy import autopsy, autopsy_text, regraded
from glassmind.evaluate.graded_problems import (
    GradedProblem,
    MethodAnswer,
    read_problems,
    write_problems,
)
from glassmind.evaluate.graders import GRADERS, OUTCOMES, grader_named
from glassmind.grade.symbolic import CutOff

GREEDY = "chain-of-thought"


def problem(right: str, *steps: str, answer: str | None, correct: bool = False) -> GradedProblem:
    return GradedProblem(
        f"p{right}{len(steps)}", f"How many {steps}?", right, "mine",
        (MethodAnswer(GREEDY, answer, correct, steps), MethodAnswer("any-of-k", answer, True)),
    )  # fmt: skip


STORED = [
    problem("72", "48/2=24", "#### 72", answer="72", correct=True),
    problem("1800", "It is $1,800.", answer="$1,800", correct=True),
    problem("5", "The answer is 5, not 6.", answer="5", correct=True),
    problem("5", "no idea", answer=None),
    problem("1/2", r"So \\boxed{0.5}", answer="0.5", correct=True),
]


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("stored", "right right right unparseable right"),
        ("values", "right right right unparseable right"),
        ("reread", "right right right unparseable right"),
        ("last-number", "right right wrong unparseable wrong"),
        ("hashes", "right unparseable unparseable unparseable unparseable"),
        ("boxed", "unparseable unparseable unparseable unparseable right"),
        ("exact", "right wrong right unparseable wrong"),
    ],
)
def test_outcomes(name: str, outcomes: str) -> None:
    judge = grader_named(name).judge
    assert " ".join(judge(one, one.answers[0]) for one in STORED) == outcomes


def test_a_comparison_that_is_cut_off_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(right: str, given: str) -> bool:
        raise CutOff

    monkeypatch.setattr(graders, "decide", cut)
    assert GRADERS["values"].judge(STORED[0], STORED[0].answers[0]) == "timed out"


def test_two_graders_make_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = autopsy(STORED, (GRADERS["values"], GRADERS["last-number"]))
    assert found.method == GREEDY and found.n == 5 and found.right == (4, 2)
    assert found.table == ((2, 2, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))
    assert [one.outcomes for one in found.disagreements] == [("right", "wrong")] * 2
    assert found.p_value == 0.5
    text = autopsy_text(found, show=1)
    assert "and 1 more disagreements" in text and "last-number: wrong" in text
    path, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_problems(path, STORED)
    argv = ["regrade", str(path), "--grader", "last-number"]
    assert main([*argv, "--json", "--out", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["graders"] == ["stored", "last-number"] and record["outcomes"] == list(OUTCOMES)
    assert sum(map(sum, record["table"])) == 5
    assert read_problems(out) == regraded(STORED, GRADERS["last-number"])
    assert [len(p.answers) for p in read_problems(out)] == [1] * 5  # a ceiling cannot be regraded
    assert main(["compare", str(path), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["first_only"] == 2
    assert main([*argv, "--grader", "exact"]) == 0
    assert "right by exact" in capsys.readouterr().out
    for wrong, said in (
        (["regrade", str(path)], "give one or two graders"),
        (["regrade", str(path), "--grader", "vibes"], "there is no grader 'vibes'"),
        ([*argv, "--method", "direct"], "has no answer by 'direct'"),
    ):
        assert main(wrong) == 2
        assert said in capsys.readouterr().err
    only = [GradedProblem("p", "?", "1", "m", (MethodAnswer("any-of-k", "1", True),))]
    with pytest.raises(UserError, match="no answers of a method"):
        autopsy(only, (GRADERS["values"], GRADERS["exact"]))
