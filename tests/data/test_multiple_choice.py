"""Files of questions with choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data.problems.multiple_choice import ChoiceQuestion, load_choices
from glassmind.errors import UserError

CHOICES = ["two", "three", "four", "five"]


@pytest.mark.parametrize("answer", [1, "B", "three", "1"])
def test_the_right_choice_in_any_form(answer: object, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"question": " 1+2? ", "choices": CHOICES, "answer": answer, "subject": "sums"}
    path.write_text(json.dumps(row))
    assert load_choices(path) == [ChoiceQuestion("a-1", "1+2?", tuple(CHOICES), 1, "sums")]


def test_mmlu_and_arc(tmp_path: Path) -> None:
    mmlu, arc = tmp_path / "test.csv", tmp_path / "arc.jsonl"
    mmlu.write_text('"1+2, is?",two,three,four,five,B\n3+2?,two,three,four,five,D\n')
    first, second = load_choices(mmlu)
    assert (first.question, first.right, second.right) == ("1+2, is?", 1, 3)
    choices = {"text": ["red", "blue"], "label": ["1", "2"]}
    arc.write_text(
        json.dumps({"id": "x", "question": "Sky?", "choices": choices, "answerKey": "2"})
    )
    assert load_choices(arc) == [ChoiceQuestion("x", "Sky?", ("red", "blue"), 1)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"choices": CHOICES, "answer": 0}, "question"),
        ({"question": "?", "choices": ["one"], "answer": 0}, "choices"),
        ({"question": "?", "choices": CHOICES, "answer": 4}, "answer"),
        ({"question": "?", "choices": CHOICES, "answer": True}, "answer"),
        ({"question": "?", "choices": ["", "b"], "answer": 1}, "empty choice"),
    ],
)
def test_bad_rows(row: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(UserError, match=said):
        load_choices(path)
