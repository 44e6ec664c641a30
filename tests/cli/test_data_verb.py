"""The ``data`` verb: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import complaint, product

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


def test_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["one two three four five six", "One, two, three: four five six!", "seven eight nine"]
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n~~\n".join(texts))
    (tmp_path / "test.txt").write_text("it is seven eight nine again")
    arguments = [
        *("data", "filter", str(source), "--out", str(target), "--separator", "~~"),
        *("--near-duplicates", "0.8", "--against", str(tmp_path / "test.txt"), "--ngram", "3"),
    ]
    table = product(capsys, *arguments)
    assert "near duplicates" in table and "contamination" in table
    assert f"{source} document 2: {source} document 1" in table
    assert [json.loads(line) for line in target.read_text().splitlines()] == [{"text": texts[0]}]
    report = json.loads(product(capsys, *arguments, "--json"))
    assert report["kept_documents"] == 1
    assert report["contamination"]["documents"] == report["near_duplicates"]["documents"] == 1


def test_filter_refuses_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl")
    near = ("--near-duplicates", "0.8")
    Path(source).write_bytes(b"some text \xff")
    for arguments, sentence in (
        ((source, "--out", target), "no filter was given"),
        ((source, "--out", target, "--near-duplicates", "2"), "between 0 and 1"),
        ((source, "--out", target, *near, "--ngram", "1"), "at least 2"),
        ((source, "--out", source, *near), "one of the texts"),
        ((source, "--out", str(tmp_path / "no" / "out.jsonl"), *near), "there is no folder"),
        ((source, "--out", target, "--against", str(tmp_path / "no.txt")), "no text file"),
        ((str(tmp_path / "*.md"), "--out", target, *near), "no file matches"),
        ((source, "--out", target, *near), "byte 10 is 0xFF"),
    ):
        assert sentence in complaint(capsys, "data", "filter", *arguments)
        assert {file.name for file in tmp_path.iterdir()} == {"in.txt"}


def test_check_lists_every_bad_row_and_explains_what_was_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    bad = "".join(f"{n}?,\n" for n in range(12))
    path.write_text(f'Body,Result,Why\n3 times 12?,36,"3*12=36\n36+0=36"\n{bad}', "utf-8")
    columns = ("--columns", "question=Body", "answer=Result", "solution=Why")
    assert main(["data", "check", str(path), *columns]) == 2
    said = capsys.readouterr()
    assert said.out.count("needs an ") + said.out.count("empty ") == 12
    assert "verified solutions: 0\n" in said.out
    assert "2 of 2 equations are right" in " ".join(said.out.split())
    assert "12 of the 13 rows" in said.err and "--skip-bad-rows" in said.err
    assert main(["data", "check", str(path), "--json", *columns]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["problems"], told["bad_rows"], len(told["bad"])) == (1, 12, 12)
    wrong = complaint(capsys, "data", "check", str(path), "--columns", "text=Body")
    assert "--columns takes question=NAME" in wrong


def test_check_conversations_and_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "Hi", "output": "Hello"}\n', "utf-8")
    told = json.loads(product(capsys, "data", "check", str(path), "--as", "chats", "--json"))
    assert (told["conversations"], told["roles"]) == (1, {"user": 1, "assistant": 1})
    path.write_text('{"t": "a", "l": true}\n{"t": "b", "l": false}\n', "utf-8")
    columns = ("--text-column", "t", "--label-column", "l")
    told = json.loads(
        product(capsys, "data", "check", str(path), "--as", "labels", "--json", *columns)
    )
    assert told["labels"] == {"true": 1, "false": 1}


def test_problems_are_not_written_under_the_name_of_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "a.csv")
    assert "JSONL is written" in complaint(capsys, "data", "make", "--out", out, "--count", "1")
    assert not list(tmp_path.iterdir())
