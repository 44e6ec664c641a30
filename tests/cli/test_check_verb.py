"""``glassmind check``: a file, standard input, rows, and the score against labels."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from command_line import complaint, product

import glassmind

QUESTION = "Mia has 3 boxes of 12 pencils. She gives 6 away. How many pencils are left?"
TEXT = f"{QUESTION}\n\npencils: 3*12=36\nleft: 36-6=31\n"


def given(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_a_text_from_a_file_and_from_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "solution.txt"
    path.write_text(TEXT, "utf-8")
    shown = product(capsys, "check", str(path))
    assert "step 2 is wrong (false equation): 36-6 is 30, not 31" in shown
    assert "confidence  100%" in shown
    given(TEXT.encode(), monkeypatch)
    plain = json.loads(product(capsys, "check", "-", "--no-model", "--json"))
    assert plain["first_wrong"] == 1
    assert plain["kind"] == "false equation"
    assert plain["steps"][1]["finding"] == "36-6 is 30, not 31"
    assert [step["belief"] for step in plain["steps"]] == [None, None]


def test_rows_are_scored_against_their_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "a", "problem": QUESTION, "steps": ["3*12=36", "36-6=31"], "label": 1},
        {"id": "b", "problem": QUESTION, "steps": ["3+12=15", "15-6=9"], "label": 0},
        {"id": "c", "problem": QUESTION, "steps": ["3*12=36", "36-6=30"], "label": -1},
    ]
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    score = json.loads(product(capsys, "check", "--evaluate", str(path), "--no-model", "--json"))
    assert (score["found"], score["erroneous"], score["cleared"], score["correct"]) == (1, 2, 1, 1)
    assert score["f1"] == pytest.approx(2 / 3)
    assert score["judged_by_the_verifier"] == 0
    table = product(capsys, "check", "--evaluate", str(path), "--no-model")
    assert "66.7%" in table and "1 of     2" in table
    lines = product(capsys, "check", str(path), "--no-model", "--json").splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "b", "c"]


def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "solution.txt"
    path.write_text(TEXT, "utf-8")
    assert "not both" in complaint(capsys, "check", str(path), "--no-model", "--model", "x")
    assert "no label" in complaint(capsys, "check", "--evaluate", str(path), "--no-model")
    assert "cannot read" in complaint(capsys, "check", str(tmp_path / "none.txt"), "--no-model")
    path.write_text("only a question", "utf-8")
    assert "a blank line" in complaint(capsys, "check", str(path), "--no-model")
    given(b"\xff\xfe", monkeypatch)
    assert "not UTF-8" in complaint(capsys, "check", "-", "--no-model")


def test_the_call_does_what_the_verb_does() -> None:
    found = glassmind.check(QUESTION, "pencils: 3*12=36\nleft: 36-6=31", verifier=False)
    assert found.first_wrong == 1
    assert glassmind.check(QUESTION, ["3*12=36"], verifier=False).first_wrong is None
    with pytest.raises(glassmind.UserError, match="the solution is empty"):
        glassmind.check(QUESTION, " ", verifier=False)
    with pytest.raises(glassmind.UserError, match="the question is empty"):
        glassmind.check(" ", "1+1=2", verifier=False)
