"""A person's own problems: read, written, dealt out; everything wrong is named with its line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.data import (
    ProblemDial,
    check_disjoint,
    generate,
    load_problems,
    save_problems,
    split_problems,
)
from glassmind.errors import UserError
from glassmind.records import Problem

GOOD = '{"question": "How many?", "answer": 3}'


def test_the_smallest_and_the_fullest_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        GOOD
        + '\n\n{"question": " Was kostet é? ", "answer": "$1,800.00", "steps": ["3*600=1800"],'
        + ' "id": "two"}\n',
        encoding="utf-8-sig",
    )
    first, second = load_problems(path)
    assert (first.id, first.question, first.answer) == ("mine-1", "How many?", "3")
    assert (first.source, first.steps) == ("mine.jsonl", ())
    assert (second.id, second.question, second.answer) == ("two", "Was kostet é?", "1800")
    assert second.steps[0].text == "3*600=1800"


@pytest.mark.parametrize("answer", ["B", "\\frac{\\pi}{2}", "Anna K.", "(0, 1]"])
def test_an_answer_may_be_any_short_text(answer: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "Which?", "answer": answer}))
    (problem,) = load_problems(path)
    assert problem.answer == answer  # as written: 'B' is not 'b', \\Pi not \\pi


def test_round_trip(tmp_path: Path) -> None:
    problems = generate(ProblemDial(), 50, split="test", seed=0)
    save_problems(problems, tmp_path / "p.jsonl")
    assert load_problems(tmp_path / "p.jsonl") == problems
    assert [p.name for p in tmp_path.iterdir()] == ["p.jsonl"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(GOOD)
    broken = Problem(id="x", question="\ud800", answer="1")
    with pytest.raises(UnicodeEncodeError):
        save_problems([broken], path)
    assert path.read_text() == GOOD
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match="no folder"):
        save_problems([], tmp_path / "none" / "p.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff\xfe\x00", "UTF-8"),
        (b"{'question': 1}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"question": "a", "answer": NaN}', "not JSON"),
        (b"3", "not a JSON object"),
        (b'{"answer": 3}', '"question"'),
        (b'{"question": 3, "answer": 3}', '"question"'),
        (b'{"question": "  ", "answer": 3}', "empty"),
        (b'{"question": "a"}', '"answer"'),
        (b'{"question": "a", "answer": true}', '"answer"'),
        (b'{"question": "a", "answer": [3]}', '"answer"'),
        (b'{"question": "a", "answer": "  "}', 'empty "answer"'),
        (b'{"question": "a", "answer": "' + b"9" * 1001 + b'"}', "of 1001 characters"),
        (b'{"question": "a", "answer": 1e999}', "not a number a model could write"),
        (b'{"question": "a", "answer": 3, "steps": 3}', "steps"),
        (b'{"question": "a", "answer": 3, "steps": [3]}', "steps"),
        (b'{"question": "a", "answer": 3, "steps": [{"text": 3}]}', "steps"),
        (b'{"question": "a", "answer": 3, "steps": [{"text": "", "uses": [true]}]}', "steps"),
        (b'{"question": "a", "answer": 3, "id": 7}', '"id"'),
        (b'{"question": "a", "answer": 3, "id": "mine-1"}', "mine-1"),
        (b'{"question": "' + b"a" * (5 << 20) + b'", "answer": 3}', "longer than 4 million"),
    ],
)
def test_wrong_lines(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + line + b"\n")
    with pytest.raises(UserError, match=message) as caught:
        load_problems(path)
    assert "mine.jsonl line 2" in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_problems(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="holds no rows"):
        load_problems(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(UserError, match="no problems"):
        load_problems(tmp_path / "empty.jsonl")


def test_splits_keep_a_question_on_one_side() -> None:
    problems = [
        Problem(id=f"{i}-{copy}", question=f"{'Q' if copy else 'q'} {' ' * copy}{i}?", answer="1")
        for i in range(2000)
        for copy in range(2)
    ]
    splits = split_problems(problems, 0, validation=0.1, test=0.2)
    assert sum(map(len, splits)) == len(problems)
    assert 300 <= len(splits.validation) <= 500
    assert 650 <= len(splits.test) <= 950
    sides = [{p.id.split("-")[0] for p in part} for part in splits]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    check_disjoint(splits.train, splits.test)
    fewer = split_problems(problems[::3], 0, validation=0.1, test=0.2)
    assert {p.id for p in fewer.test} <= {p.id for p in splits.test}
    assert split_problems(problems, 1).test != split_problems(problems, 0).test
    with pytest.raises(UserError, match="fractions"):
        split_problems(problems, 0, validation=0.5, test=0.5)


def test_unstructured_steps_stay_texts(tmp_path: Path) -> None:
    (problem,) = generate(ProblemDial(1, 1), 1, split="train", seed=0)
    plain = replace(problem, steps=tuple(replace(s, operator="") for s in problem.steps))
    save_problems([plain], tmp_path / "p.jsonl")
    assert load_problems(tmp_path / "p.jsonl") == [plain]
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert set(row) == {"id", "question", "answer", "steps", "source", "split", "key"}
