"""Rows of JSON: read one at a time, whatever the file unpacks to."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from bounded_memory import at_most
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.data.chats import load_chats
from glassmind.data.labelled import load_labelled
from glassmind.data.rows import json_rows as module
from glassmind.data.rows.bad_rows import BadRow
from glassmind.data.rows.json_rows import json_rows
from glassmind.errors import UserError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(VALUES, max_size=6), st.booleans(), st.integers(1, 9), st.sampled_from("a \n"))
def test_what_is_read_is_what_json_reads(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[object],
    as_list: bool,
    block: int,
    indent: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.json"
    spaces = None if indent == "a" else 1
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    listed = json.dumps(rows, ensure_ascii=False, indent=spaces)
    path.write_text(listed if as_list else "\n\n".join(["\ufeff", *lines]), "utf-8")
    data = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:  # every place where a block may end
        cut = [data[n : n + block] for n in range(0, len(data), block)]
        patch.setattr(module, "unpacked", lambda path: iter(cut))
        if not as_list and rows and isinstance(rows[0], list):
            return  # that is a list of values, followed by something else
        found = list(json_rows(path))
    read = [row for row in found if not isinstance(row, BadRow)]
    assert [value for value, _ in read] == rows
    if as_list:
        assert [place for _, place in read] == [f"{path} element {n + 1}" for n in range(len(rows))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1 2]", "element 1 is not followed by a comma"),
        ("[1,]", "element 2 is not JSON"),
        ("[1", "element 1 is not followed"),
        ("[1] 2", "continues after the end"),
        ("[NaN]", "element 1 is not JSON: NaN is not a JSON number"),
        ("[" * 100_000, "element 1 is not JSON: it is nested too deeply"),
        ("1\n" + "[" * 100_000, "line 2 is not JSON"),
        ("1\n" + "9" * 5000, "line 2 is not JSON"),
        ('["' + "a" * (5 << 20) + '"]', "longer than 4 million"),
        ('1\n"' + "a" * (5 << 20) + '"', "line 2 is longer than 4 million"),
    ],
)
def test_what_is_no_row_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=said):
        for row in json_rows(path):
            if isinstance(row, BadRow):
                raise UserError(str(row))


@pytest.mark.parametrize("load", [load_chats, load_labelled])
@pytest.mark.parametrize("begin", ["[", ""], ids=["list", "lines"])
@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("xz", lambda data: lzma.compress(data, preset=0))]
)
def test_a_small_file_that_becomes_large_is_not_held_in_memory(
    tmp_path: Path,
    load: Callable[[Path], object],
    begin: str,
    suffix: str,
    pack: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / f"rows.jsonl.{suffix}"
    monkeypatch.setattr("glassmind.data.rows.bad_rows.MOST", 1000)
    path.write_bytes(pack(begin.encode() + (b"[]," if begin else b"0\n") * (4 << 20)))
    assert path.stat().st_size < 100_000
    with (
        at_most(200),
        pytest.raises(UserError, match="more than 1,000 rows"),
    ):
        load(path)


def test_conversations_are_bounded_by_the_memory_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text('{"instruction": "", "output": ""}\n' * 10, "utf-8")
    monkeypatch.setattr("glassmind.data.rows.bad_rows.MAX_MEMORY", 7000)
    with pytest.raises(UserError, match=r"line \d+: the rows up to it take"):
        load_chats(path)
