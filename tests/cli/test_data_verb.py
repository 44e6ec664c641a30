"""The ``data`` verb: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.cli.main import main
from glassmind.data import load_problems


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "--count", "2", "--steps", "3", "--family", "money"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("generated/money") == shown.count("answer: ") == 2
    assert "  3. " in shown
    assert "  4. " not in shown


def test_show_json_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for seed in ("1", "1", "2"):
        assert main(["data", "show", "--json", "--seed", seed, "--steps", "2-3"]) == 0
        shown.append(json.loads(capsys.readouterr().out)["problems"])
    assert shown[0] == shown[1] != shown[2]
    assert all(len(p["steps"]) in (2, 3) and p["answer"] for p in shown[0])


def test_make_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.jsonl"
    assert main(["data", "make", "--out", str(path), "--count", "40", "--split", "test"]) == 0
    assert len(load_problems(path)) == 40
    capsys.readouterr()
    assert main(["data", "check", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == report["verified_solutions"] == report["with_steps"] == 40
    assert report["equations_not_confirmed"] == 0


def test_check_counts_what_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "q", "answer": 3, "steps": ["a: 1+1=3", "so 3"]}\n')
    assert main(["data", "check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "equations not confirmed: 1" in shown
    assert "1+1=3" in shown


def test_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "families", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["families"]) >= 12


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "--family", "nope"],
        ["show", "--steps", "three"],
        ["show", "--steps", "2-"],
        ["show", "--steps", "20"],
        ["show", "--count", "-1"],
        ["check", "no-such-file.jsonl"],
        ["make", "--count", "1", "--out", "no-such-folder/file.jsonl"],
    ],
)
def test_user_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("glassmind: error: ")
    assert "Traceback" not in captured.err
