"""GSM8K files: annotations understood, answers canonical, wrong files refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data import data_file, load_gsm8k
from glassmind.errors import UserError
from glassmind.grade.steps import check_steps

ROW = {
    "question": "Natalia sold 48 clips,  then half as many.\nHow many in all?",
    "answer": "She sold 48/2 = <<48/2=24>>24 clips.\nIt is a nice day.\n"
    "In all 48+24 = <<48+24=72.00>>72.00 and <<1800=1800>>1,800 more of .5*4*900 = "
    "<<.5*4*900=1800>>1,800.\n#### 1,800",
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_sentences(tmp_path: Path) -> None:
    (problem,) = load_gsm8k(write(tmp_path / "g.jsonl", ROW), "valid")
    assert problem.id == "gsm8k-valid-00001"
    assert problem.question == "Natalia sold 48 clips, then half as many. How many in all?"
    assert problem.answer == "1800"
    assert [s.text for s in problem.steps] == [
        "She sold 48/2 = 24 clips.",
        "It is a nice day.",
        "In all 48+24 = 72.00 and 1,800 more of .5*4*900 = 1,800.",
    ]
    first = problem.steps[0]
    assert (first.operator, first.operands, first.value) == ("/", ("48", "2"), "24")
    assert first.checkable
    assert not problem.steps[1].checkable


def test_equations(tmp_path: Path) -> None:
    (problem,) = load_gsm8k(write(tmp_path / "g.jsonl", ROW), equations=True)
    assert [s.text for s in problem.steps] == [
        "48/2=24",
        "48+24=72.00",
        "1800=1800",
        ".5*4*900=1800",
    ]
    assert [s.value for s in problem.steps] == ["24", "72", "", ""]
    checks = check_steps(problem, [s.text for s in problem.steps])
    assert all(c.arithmetic and c.valid is None for c in checks)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[1, 2]",
        b"{",
        b'{"question": "a"}',
        b'{"question": "a", "answer": "no number"}',
        b'{"question": "a", "answer": "#### many"}',
        b'{"question": 3, "answer": "#### 3"}',
        b"[" * 100_000,
    ],
)
def test_wrong_lines(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "g.jsonl"
    path.write_bytes(json.dumps(ROW).encode() + b"\n" + line + b"\n")
    with pytest.raises(UserError, match="line 2"):
        load_gsm8k(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_gsm8k(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="no problems"):
        load_gsm8k(tmp_path / "empty.jsonl")


@pytest.mark.usefixtures("data_folder")
def test_the_real_files() -> None:
    valid = data_file("gsm8k/valid.jsonl")
    problems = load_gsm8k(valid, "valid", equations=True)
    assert len(problems) == 500
    checks = [c for p in problems for c in check_steps(p, [s.text for s in p.steps])]
    assert sum(c.arithmetic for c in checks) / len(checks) > 0.98
    sentences = [s for p in load_gsm8k(valid, "valid") for s in p.steps]
    assert not any("<<" in s.text for s in sentences)
    assert sum(s.checkable for s in sentences) / len(sentences) > 0.7
