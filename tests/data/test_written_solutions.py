"""Reading solutions to be checked: one text, JSON lines, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data.problems.written_solutions import (
    read_solutions,
    solution_of_text,
    solutions_of_text,
)
from glassmind.errors import UserError


def test_a_text_is_a_question_and_a_solution() -> None:
    found = solution_of_text("Question: How many?\n\nSolution:\n1+1=2\n2+1=3\n#### 3\n")
    assert found.question == "How many?"
    assert found.steps == ("1+1=2", "2+1=3\n#### 3")
    assert found.first_wrong is None
    assert solution_of_text("How many?\n1+1=2").steps == ("1+1=2",)
    assert solution_of_text("How many?\r\n\r\na\r\n\r\nb\r\nc").steps == ("a", "b\nc")


@pytest.mark.parametrize("text", ["", "  \n\n ", "only a question", "a question\n\n  "])
def test_half_a_text_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"must be a question, a blank line"):
        solution_of_text(text)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"question": "q", "steps": ["a", "b"]}, None),
        ({"problem": "q", "steps": ["a", "b"], "label": 1}, 1),
        ({"problem": "q", "steps": ["a", "b"], "label": -1}, -1),
        ({"question": "q", "steps": ["a", "b"], "labels": [1, 0]}, 1),
        ({"question": "q", "steps": ["a", "b"], "labels": [True, True]}, -1),
        ({"question": "q", "steps": ["a", "b"], "labels": [0, -1]}, 1),
        ({"problem": "q", "steps": [{"text": "a", "label": 0}, {"text": "b", "label": -1}]}, 1),
        ({"problem": "q", "steps": [{"text": "a", "label": 0}, {"text": "b", "label": 1}]}, -1),
        ({"question": "q", "solution": "a\nb"}, None),
    ],
)
def test_rows(row: dict[str, object], label: int | None, tmp_path: Path) -> None:
    path = tmp_path / "solutions.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    [found] = read_solutions(path)
    assert (found.question, found.steps, found.first_wrong) == ("q", ("a", "b"), label)
    [same] = solutions_of_text(json.dumps(row), "standard input")
    assert (same.steps, same.first_wrong) == (found.steps, label)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([1], "not a JSON object"),
        ({"steps": ["a"]}, "needs a question"),
        ({"question": "q"}, "needs steps"),
        ({"question": "q", "steps": []}, "needs steps"),
        ({"question": "q", "steps": [3]}, "not a text"),
        ({"question": "q", "steps": ["a"], "label": 1}, "label '1'"),
        ({"question": "q", "steps": ["a"], "label": True}, "label 'True'"),
        ({"question": "q", "steps": ["a"], "labels": [1, 1]}, "one label for each"),
        ({"question": "q", "steps": ["a"], "labels": [7]}, "labels other than"),
        ({"question": "q", "steps": ["a"] * 1001}, "1001 steps"),
        ({"question": "q" * 200_001, "steps": ["a"]}, "200001 characters"),
    ],
)
def test_rows_that_cannot_be_used(row: object, why: str, tmp_path: Path) -> None:
    path = tmp_path / "solutions.json"
    path.write_text(json.dumps([row]), "utf-8")
    with pytest.raises(UserError, match=why):
        read_solutions(path)


def test_lines_that_are_not_json() -> None:
    for text in ('{"question": ', '{"a": "\\ud83d"}', "{" * 100_000):
        with pytest.raises(UserError, match=r"standard input line 1"):
            solutions_of_text(text, "standard input")
