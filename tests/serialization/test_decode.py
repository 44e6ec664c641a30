"""Trees of plain values to dataclasses and back."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from dataclass_trees import Experts, Model, Recipe, Stage, refusal
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.serialization import (
    decode,
    encode,
    encode_toml,
    json_files,
    parse_json,
    read_json,
    read_object,
    read_record,
    write_record,
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"model": {"n_head": 3}}, "recipe r.toml: unknown key model.n_head (did you mean n_heads"),
        ({"model": 3}, "recipe r.toml: model takes a table with the keys d_model"),
        ({"model": {"experts": {}}}, "recipe r.toml: model.experts.count is missing"),
        ({"model": {"n_heads": 0.5}}, "model.n_heads takes an integer such as 300, not 0.5"),
        ({"model": {"n_heads": True}}, "model.n_heads takes an integer such as 300, not True"),
        ({"model": {"n_heads": 3}}, "recipe r.toml: model: d_model 128 must be a multiple"),
        ({"families": "buying"}, "families takes a list, each element a text"),
        ({"families": ["a", 1]}, "families.1 takes a text"),
        ({"stages": [{"lr": "fast"}]}, "stages.0.lr takes a number such as 0.02, not 'fast'"),
        ({"stages": [{"lr": 10**400}]}, "stages.0.lr takes a number"),
        ({"stages": [{"steps": "x"}]}, "stages.0.steps takes an integer"),
        ({"name": 10**5000}, "name takes a text such as"),
        ([], "recipe r.toml: the whole must be a table"),
        (None, "recipe r.toml: the whole must be a table"),
    ],
)
def test_wrong_data_is_explained(data: object, said: str) -> None:
    assert said in refusal(decode, Recipe, data, "recipe r.toml")


def test_a_user_error_of_the_dataclass_keeps_its_words() -> None:
    @dataclass(frozen=True)
    class Strict:
        steps: int = 1

        def __post_init__(self) -> None:
            raise UserError("steps must be even")

    assert refusal(decode, Strict, {"steps": 3}, "recipe r.toml").endswith("steps must be even")


def test_a_type_no_recipe_can_hold_is_the_programmer_s_fault() -> None:
    @dataclass(frozen=True)
    class Odd:
        anything: complex = 0j

    with pytest.raises(TypeError, match="no recipe can hold"):
        decode(Odd, {"anything": 3}, "recipe r.toml")


_finite = st.floats(allow_nan=False)
_stage = st.builds(
    Stage,
    steps=st.integers(),
    lr=_finite,
    betas=st.tuples(_finite, _finite),
    compile=st.none() | st.booleans(),
    layers=st.sampled_from([2, 4]) | st.sampled_from(["two", "four"]),
)
_recipe = st.builds(
    Recipe,
    name=st.text(st.characters(codec="utf-8"), max_size=20),
    seed=st.none() | st.integers(),
    out=st.none() | st.sampled_from([Path("runs/a"), Path("b c")]),
    families=st.lists(st.text(st.characters(codec="utf-8"), max_size=5)).map(tuple),
    sizes=st.none() | st.lists(st.integers(), max_size=3).map(tuple),
    model=st.builds(
        Model,
        positions=st.sampled_from(["rope", "learned"]),
        experts=st.none() | st.builds(Experts, count=st.integers()),
    ),
    stages=st.lists(_stage, max_size=3).map(tuple),
    loss_scale=st.just("auto") | _finite,
)


@given(_recipe)
def test_a_recipe_survives_toml(recipe: Recipe) -> None:
    plain = encode_toml(recipe)
    assert decode(Recipe, plain, "here") == recipe
    assert decode(Recipe, tomllib.loads(tomli_w.dumps(plain)), "here") == recipe


@dataclass(frozen=True)
class Row:
    rung: str
    n: int
    share: float | None = None
    answer: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    points: tuple[tuple[float, ...], ...] = ()
    stages: list[Stage] = field(default_factory=list)
    anything: object = None


_row = st.builds(
    Row,
    rung=st.text(),
    n=st.integers(),
    share=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    answer=st.none() | st.text() | st.just("none"),
    counts=st.dictionaries(st.text(), st.integers()),
    points=st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple)).map(
        tuple
    ),
    stages=st.lists(st.builds(Stage, steps=st.integers())),
    anything=st.none() | st.lists(st.booleans()) | st.dictionaries(st.text(), st.text()),
)


@given(st.lists(_row, max_size=3).map(tuple))
def test_records_survive_json(rows: tuple[Row, ...]) -> None:
    text = json.dumps(encode(rows), allow_nan=False)
    assert decode(tuple[Row, ...], parse_json(text, "here"), "here") == rows


def test_a_record_is_read_back_from_its_file(tmp_path: Path) -> None:
    rows = (Row("vote", 3, share=0.5, answer="none"), Row("direct", 4))
    write_record(tmp_path / "rows.json", rows)
    assert read_record(tuple[Row, ...], tmp_path / "rows.json") == rows


def test_numbers_that_json_lacks_become_null() -> None:
    values = encode({"a": math.nan, "b": (math.inf, -math.inf), "c": Path("x/y"), "d": 1})
    assert values == {"a": None, "b": [None, None], "c": "x/y", "d": 1}


@pytest.mark.parametrize("value", [{1: 2}, 3j, [object()], b"bytes"])
def test_what_json_cannot_hold_is_the_programmer_s_fault(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (tuple[Row, ...], {}, "votes.json: the whole takes a list, each element a table with"),
        (tuple[Row, ...], [{"n": 3}], "votes.json: 0.rung is missing; it takes a text"),
        (Row, {"rung": "a", "n": "3"}, "votes.json: n takes an integer such as 300, not '3'"),
        (Row, {"rung": "a", "n": 3, "counts": {"x": 1.5}}, "counts.x takes an integer"),
        (Row, {"rung": "a", "n": 3, "counts": [1]}, "counts takes a table, each value an integer"),
        (Row, {"rung": "a", "n": 3, "points": [[1, "x"]]}, "points.0.1 takes a number"),
        (Row, {"rung": "a", "n": 3, "share": math.nan}, "share takes a number"),
        (Row, {"rung": "a", "n": 3, "stages": {}}, "stages takes a list, each element a table"),
        (int, None, "votes.json: the whole takes an integer"),
    ],
)
def test_the_place_of_a_mistake_is_named(kind: type, data: object, said: str) -> None:
    assert said in refusal(decode, kind, data, "votes.json")


def test_unknown_keys_may_be_ignored_at_every_depth() -> None:
    data = {"rung": "a", "n": 1, "later": 2, "stages": [{"steps": 3, "later": 4}]}
    assert decode(Row, data, "here", unknown_keys="ignore") == Row("a", 1, stages=[Stage(3)])
    assert "unknown key later" in refusal(decode, Row, data, "here")


def test_a_record_inside_itself_cannot_exhaust_the_stack() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"inner": data}
    assert "nested too deeply" in refusal(decode, Nested, data, "here")


@dataclass(frozen=True)
class Nested:
    inner: Nested | None = None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "here is not valid JSON"),
        (b"\xff\xfe", "here is not valid JSON: it is not UTF-8 text at byte 0"),
        ("[" * 100_000, "here is not valid JSON: it is nested too deeply"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("[1e999]", "1e999 is not a JSON number"),
        ('{"a": 1, "b": 2, "a": 3}', "here: the key 'a' is there twice"),
        ("1" * 5000, "here is not valid JSON"),
    ],
)
def test_what_is_not_json(text: str | bytes, said: str) -> None:
    assert said in refusal(parse_json, text, "here")


def test_numbers_that_are_not_json_on_request() -> None:
    text = "[NaN, 1e999, 0.5, 3]"
    assert parse_json(text, "here", nonfinite="null") == [None, None, 0.5, 3]
    assert parse_json(text, "here", nonfinite="keep")[1:] == [math.inf, 0.5, 3]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is missing" in refusal(read_json, tmp_path / "no.json")
    path = tmp_path / "a.json"
    path.write_text("[1, 2, 3]")
    assert "must hold a JSON object, not [1, 2, 3]" in refusal(read_object, path)
    monkeypatch.setattr(json_files, "MAX_BYTES", 8)
    assert "too large" in refusal(read_json, path)
