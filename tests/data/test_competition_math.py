"""MATH files: answers out of the box, sentences as steps, wrong files refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data import PROBLEM_SETS, check_disjoint, data_file
from glassmind.data.problems.competition_math import load_math
from glassmind.errors import UserError
from glassmind.grade import grade

ROW = {
    "problem": " What is $x$\nif $2x = \\pi$? ",
    "level": "Level 2",
    "type": "Counting & Probability",
    "solution": "Divide by 2.\nThen $x = \\frac{\\pi}{2}$. So the answer is "
    "$\\boxed{\\frac{\\pi}{2}}$.",
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_a_row_becomes_a_problem(tmp_path: Path) -> None:
    number = ROW | {"solution": "It is $\\boxed{1{,}800}$."}
    problem, other = load_math(write(tmp_path / "m.jsonl", ROW, number), "valid")
    assert problem.id == "math-valid-00001"
    assert problem.question == "What is $x$\nif $2x = \\pi$?"
    assert problem.answer == "\\frac{\\pi}{2}"
    assert problem.source == "math/counting-probability"
    assert [s.text for s in problem.steps] == [
        "Divide by 2.",
        "Then $x = \\frac{\\pi}{2}$.",
        "So the answer is $\\boxed{\\frac{\\pi}{2}}$.",
    ]
    assert other.answer == "1800"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "a"}, 'line 2 needs the texts "problem" and "solution"'),
        (ROW | {"solution": "It is 3."}, r"line 2 has a solution without \\boxed"),
        ([1], "line 2 is not a JSON object"),
    ],
)
def test_wrong_lines(row: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_math(write(tmp_path / "m.jsonl", ROW, row))


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no problems"):
        load_math(write(tmp_path / "m.jsonl"))


def test_a_set_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSMIND_DATA", raising=False)
    with pytest.raises(UserError, match=r"no file gsm8k/train.jsonl; set GLASSMIND_DATA"):
        PROBLEM_SETS["gsm8k"].train()
    monkeypatch.setenv("GLASSMIND_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"no file math/train.jsonl in {tmp_path}"):
        PROBLEM_SETS["math"].held_out()


@pytest.mark.usefixtures("data_folder")
def test_the_real_files() -> None:
    train, held_out = PROBLEM_SETS["math"].train(), PROBLEM_SETS["math"].held_out()
    assert (len(train) + len(held_out), len(held_out)) == (7490, 517)
    check_disjoint(train, held_out)
    assert all(grade(p.answer, p.answer) for p in held_out)
    assert data_file("math/train.jsonl").name == "train.jsonl"


@pytest.mark.usefixtures("data_folder")
@pytest.mark.parametrize("name", PROBLEM_SETS)
def test_what_is_held_out_is_not_trained_on(name: str) -> None:
    check_disjoint(PROBLEM_SETS[name].train(), PROBLEM_SETS[name].held_out())
