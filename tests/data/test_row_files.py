"""Rows of every kind of file, and bad ones: counted, named, and left out when asked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from glassmind.data import load_problems
from glassmind.data.chats import check_chats, load_chats
from glassmind.data.labelled import load_labelled
from glassmind.data.problems.column_mapping import ProblemColumns
from glassmind.data.problems.competition_math import load_math
from glassmind.data.problems.files import check_problems
from glassmind.data.problems.gsm8k import load_gsm8k
from glassmind.data.rows.bad_rows import BadRow, Checked, Row
from glassmind.data.rows.files import file_rows
from glassmind.errors import UserError
from glassmind.records import Problem

ROWS = [
    {"question": "What is 3, times 12?", "answer": "36", "steps": "3*12=36\n36+0=36"},
    {"question": "What is 2+2?", "answer": "4", "steps": ""},
]


def table(rows: list[dict[str, str]], mark: str) -> str:
    """The rows as a table; every cell quoted where commas would part it."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_all_kinds(folder: Path) -> list[Path]:
    lines = "\n".join(map(json.dumps, ROWS))
    texts = {
        "a.jsonl": lines,
        "a.json": json.dumps(ROWS, indent=1),
        "a.csv": table(ROWS, ","),
        "semicolons.csv": table(ROWS, ";"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return [*(folder / name for name in texts), folder / "a.jsonl.gz"]


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    files = write_all_kinds(tmp_path)
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow  # type: ignore[import-untyped, unused-ignore]

    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    for file in [*files, tmp_path / "a.parquet"]:
        first, second = load_problems(file)
        assert (first.question, first.answer) == ("What is 3, times 12?", "36"), file
        assert [step.text for step in first.steps] == ["3*12=36", "36+0=36"]
        assert (second.answer, second.steps) == ("4", ())


def test_a_folder_of_single_objects_is_read_as_math_has_it(tmp_path: Path) -> None:
    for subject, answer in (("algebra", "7"), ("geometry", r"\\frac{1}{2}")):
        (tmp_path / subject).mkdir()
        problem = {
            "problem": f"Find $x$ in {subject}.",
            "level": "Level 1",
            "type": subject,
            "solution": f"We add. So $x = \\boxed{{{answer}}}$.",
        }
        (tmp_path / subject / "1.json").write_text(json.dumps(problem, indent=4), "utf-8")
    (tmp_path / ".hidden.jsonl").write_text("no", "utf-8")
    first, second = load_problems(tmp_path)
    assert (first.id, first.answer) == ("algebra/1-1", "7")
    assert [step.text for step in first.steps] == ["We add.", r"So $x = \boxed{7}$."]
    assert second.answer == r"\\frac{1}{2}"


@pytest.mark.parametrize(
    ("file", "load"), [("math/train.jsonl", load_math), ("gsm8k/valid.jsonl", load_gsm8k)]
)
def test_the_files_of_math_and_gsm8k_are_found_out(
    data_folder: Path, tmp_path: Path, file: str, load: Callable[[Path], list[Problem]]
) -> None:
    with (data_folder / file).open("rb") as lines:
        (tmp_path / "some.jsonl").write_bytes(b"".join(islice(lines, 100)))
    theirs = load(tmp_path / "some.jsonl")
    for found, expected in zip(load_problems(tmp_path / "some.jsonl"), theirs, strict=True):
        assert " ".join(found.question.split()) == " ".join(expected.question.split())
        assert (found.answer, found.steps) == (expected.answer, expected.steps)


def test_columns_are_found_in_any_case_or_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("Problem,Final_Answer\nHow many?,3\n", "utf-8")
    assert load_problems(path)[0].answer == "3"
    path.write_text("Body,Result,Why\nHow many?,3,1+2=3\n", "utf-8")
    (problem,) = load_problems(path, ProblemColumns("Body", "Result", "Why"))
    assert (problem.question, problem.answer, problem.steps[0].text) == ("How many?", "3", "1+2=3")
    with pytest.raises(UserError, match="needs a \"question\": it has 'Body', 'Result', 'Why'"):
        load_problems(path)
    with pytest.raises(UserError, match="has no column 'Text'; it has 'Body'"):
        load_problems(path, ProblemColumns("Text"))


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"question": "?", "answer": "9*8=<<9*8=72>>72 apples\n#### 72"}, "72"),
        ({"question": "?", "answer": None, "solution": r"So \\boxed{72}."}, "72"),
        ({"question": "?", "solution": "so it is\n#### $72"}, "72"),
    ],
)
def test_an_answer_stands_in_its_solution(row: dict[str, str], answer: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    (problem,) = load_problems(path)
    assert problem.answer == answer
    assert problem.steps and "<<" not in problem.steps[0].text


def many(tmp_path: Path, bad: int) -> Path:
    path = tmp_path / "many.jsonl"
    good = [json.dumps({"question": f"{n}?", "answer": n}) for n in range(20)]
    path.write_text("\n".join([*good, *['{"question": "?"}'] * bad]), "utf-8")
    return path


def test_one_bad_row_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    path = many(tmp_path, 1)
    with pytest.raises(UserError, match=r"line 21 needs an .* the only bad row of 21: --skip"):
        load_problems(path)
    said: list[str] = []
    assert len(load_problems(path, on_bad_row="skip", say=said.append)) == 20
    assert said[0].startswith(f"1 row was left out, of 21 in {path}:\n  {path} line 21 needs")


def test_all_bad_rows_are_counted_and_ten_are_shown(tmp_path: Path) -> None:
    path = many(tmp_path, 13)
    with pytest.raises(UserError) as caught:
        load_problems(path)
    assert str(caught.value).startswith(f"13 of the 33 rows of {path} cannot be used")
    assert str(caught.value).count(" needs an ") == 10
    assert "and 3 more" in str(caught.value)
    assert [row.where for row in check_problems(path).bad][-1] == f"{path} line 33"


def test_where_no_row_is_good_nothing_is_left_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{}\n{}\n", "utf-8")
    for load in (load_problems, load_chats, load_labelled):
        with pytest.raises(UserError, match="none of the 2 rows"):
            load(path, on_bad_row="skip")  # type: ignore[operator]


def test_a_wrong_file_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.data.rows.bad_rows.MOST", 2)
    found: Checked[str] = Checked("x.csv")
    found.add_bad(BadRow("x.csv line 1", "is odd"))
    found.add_bad(BadRow("x.csv line 2", "is odd"))
    with pytest.raises(UserError, match="more than 2 rows that cannot be used"):
        found.add_bad(BadRow("x.csv line 3", "is odd"))


# ---------------------------------------------------------------------------------- tables


def cells(path: Path, text: str) -> list[str]:
    path.write_text(text, "utf-8")
    return [
        str(row) if isinstance(row, BadRow) else "|".join(row.values.values())
        for row in file_rows(path)
    ]


def test_a_long_cell_is_read_and_a_runaway_quote_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "a" * 200_000
    assert cells(path, f"text,label\n{long},x\nb,y\n") == [f"{long}|x", "b|y"]
    found = cells(path, 'text,label\n"' + ("a" * (1 << 20) + "\n") * 5 + "b,y\n")
    assert "line 2 begins a cell of more than 4 million" in found[0]
    assert found[-1] == "b|y"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("t,l\na,x,,\n", ["a|x"]),
        ("t,l,\na,x\n", ["a|x"]),
        ("t,l\nHello, friend,x\nb,y\n", ["has 3 cells, and the first line names 2", "b|y"]),
    ],
)
def test_a_row_has_the_cells_that_the_first_line_names(
    tmp_path: Path, text: str, found: list[str]
) -> None:
    rows = cells(tmp_path / "a.csv", text)
    assert len(rows) == len(found)
    assert all(part in row for part, row in zip(found, rows, strict=True))


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two columns named 't'"):
        cells(tmp_path / "a.csv", "t,t\na,b\n")
    with pytest.raises(UserError, match="is not a file of rows"):
        cells(tmp_path / "a.xlsx", "t,t\na,b\n")


# ---------------------------------------------------------------------------------- labels, chats


def test_labels_that_json_has_other_types_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": true}\n{"text": "b", "label": false}\n', "utf-8")
    assert [row.label for row in load_labelled(path)] == ["true", "false"]
    path.write_text('{"text": "a", "label": null}\n{"text": "b", "label": [1]}\n', "utf-8")
    with pytest.raises(UserError, match="needs a text or a number in 'label', not null"):
        load_labelled(path)


def test_what_a_message_has_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    call = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": '{"c": 1}'}}
    row = {
        "messages": [
            {"role": "user", "content": "?", "name": None},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "3 C"},
            {"role": "assistant", "content": "3", "weight": 0, "reasoning_content": "so"},
        ],
        "tools": json.dumps([{"type": "function", "function": {"name": "w"}}]),
    }
    path.write_text(json.dumps(row), "utf-8")
    (chat,) = load_chats(path)
    asked, called, result, said = chat.messages
    assert asked == {"role": "user", "content": "?"}
    assert called["content"] == ""
    assert called["tool_calls"][0]["function"] == {"name": "w", "arguments": {"c": 1}}
    assert result["tool_call_id"] == "c1"
    assert (said["reasoning_content"], "weight" in said) == ("so", False)
    assert chat.unlearned == {3}
    assert chat.tools[0]["function"]["name"] == "w"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"content": "x", "weight": 0}, "all have the weight 0"),
        ({"content": "x", "weight": 0.5}, 'message 2 has the "weight" 0.5'),
        ({"tool_calls": [{"function": {}}]}, "calls with a name"),
        ({"tool_calls": [{"function": {"name": "w", "arguments": "{"}}]}, "not JSON"),
        ({"tool_calls": [{"function": {"name": "w", "arguments": "[]"}}]}, "are no object"),
    ],
)
def test_what_a_message_must_not_have(tmp_path: Path, answer: object, said: str) -> None:
    path = tmp_path / "chats.jsonl"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", **answer}]  # type: ignore[dict-item]
    path.write_text(json.dumps({"messages": messages}), "utf-8")
    (bad,) = check_chats(path).bad
    assert said in bad.reason


def test_rows_say_where_they_are() -> None:
    assert str(BadRow("a.csv line 2", "is odd")) == "a.csv line 2 is odd"
    assert Row("a.csv line 2", "a-2", {}).name == "a-2"
