"""Labelled texts: every kind of file, the split, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glassmind.data import FAMILIES, ProblemDial, generate
from glassmind.data.batches.columns import LABEL
from glassmind.data.labelled import (
    Labelled,
    label_documents,
    load_labelled,
    problem_texts,
    split_labelled,
)
from glassmind.errors import UserError

ROWS = [Labelled('Win "now", friend', "spam"), Labelled("See you at six", "ham")]


def test_all_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    files = {
        "a.csv": 'label,id,text\nspam,1,"Win ""now"", friend"\nham,2,See you at six\n',
        "a.tsv": 'label\ttext\nspam\tWin "now", friend\nham\tSee you at six\n',
        "a.jsonl": "\n".join(json.dumps({"text": r.text, "label": r.label}) for r in ROWS),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
        assert load_labelled(tmp_path / name) == ROWS
    bare = tmp_path / "bare.tsv"
    bare.write_text('spam\tWin "now", friend\nham\tSee you at six\n', "utf-8")
    assert load_labelled(bare, "2", "1") == ROWS


def test_labels_of_json_may_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n', "utf-8")
    assert [row.label for row in load_labelled(path)] == ["1", "0"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "text,label\n", "holds no labelled text"),
        ("a.csv", "text,label\na,x\nb,x\n", "all 2 rows have the label 'x'"),
        ("a.csv", "body,label\na,x\nb,y\n", "has no column 'text'; it has body, label"),
        ("a.csv", "text,label\na\nb,y\n", "line 2 has an empty label"),
        ("a.csv", "text,label\n ,x\nb,y\n", "line 2 has an empty text"),
        ("a.csv", "text,label\na,\nb,y\n", "line 2 has an empty label"),
        ("a.jsonl", '{"text": "a"}', "line 1 has no column 'label'; it has text"),
        ("a.jsonl", "text", "line 1 is not JSON"),
        ("a.jsonl", "[1]", "element 1 is not an object"),
    ],
)
def test_what_is_no_labelled_text_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(UserError, match=said):
        load_labelled(tmp_path / name)


def test_too_many_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {n},{n}\n" for n in range(1100)), "utf-8")
    with pytest.raises(UserError, match="1100 different values"):
        load_labelled(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff,x\n")
    with pytest.raises(UserError, match="is not UTF-8 text at byte 11"):
        load_labelled(tmp_path / "a.csv")
    with pytest.raises(UserError, match="cannot read"):
        load_labelled(tmp_path / "none.csv")


def test_generated_problems_are_labelled_by_what_they_are() -> None:
    problems = generate(ProblemDial(), 200, split="train", seed=0)
    for row, problem in zip(problem_texts(problems, "story"), problems, strict=True):
        assert row.label in FAMILIES
        assert row.text == problem.question
    labels = [row.label for row in problem_texts(problems, "operation")]
    assert set(labels) == {"plus", "minus", "times", "divided by"}
    assert (labels[0] == "plus") == (problems[0].steps[-1].operator == "+")


def test_the_split_keeps_equal_texts_together() -> None:
    rows = [Labelled(f"text {n % 500}" if n % 2 else f"TEXT  {n % 500}", "x") for n in range(1000)]
    splits = split_labelled(rows, seed=1)
    texts = [{" ".join(row.text.casefold().split()) for row in part} for part in splits]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    assert sum(map(len, splits)) == 1000
    assert 100 < len(splits.test) < 300


def test_the_label_stands_at_the_last_token() -> None:
    ids = [[5, 6, 7, 8, 9], [3]]
    documents, cut = label_documents(ROWS, ids, ["ham", "spam"], most_tokens=3)
    assert cut == 1
    assert documents[0].ids.tolist() == [7, 8, 9]
    assert np.isnan(documents[0][LABEL][:-1]).all()
    assert (documents[0][LABEL][-1], documents[1][LABEL][-1]) == (1.0, 0.0)
