"""The shared options, ``--set``, and the translations between plain values and dataclasses."""

from __future__ import annotations

import argparse
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from glassmind.cli.settings import add_run_options, apply_overrides
from glassmind.errors import UserError
from glassmind.runs.dataclass_tree import from_dict, replace_at, to_dict


@dataclass(frozen=True)
class Experts:
    count: int
    active: int = 2


@dataclass(frozen=True)
class Model:
    d_model: int = 128
    n_heads: int = 4
    positions: Literal["rope", "learned", "sinusoidal"] = "rope"
    experts: Experts | None = None

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} must be a multiple of n_heads {self.n_heads}")


@dataclass(frozen=True)
class Stage:
    steps: int = 100
    lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    compile: bool | None = True
    layers: Literal[2, 4] | str = 2


@dataclass(frozen=True)
class Recipe:
    name: str = "demo"
    seed: int | None = None
    out: Path | None = None
    families: tuple[str, ...] = ("buying",)
    sizes: tuple[int, ...] | None = None
    model: Model = field(default_factory=Model)
    stages: tuple[Stage, ...] = (Stage(), Stage(steps=200))
    loss_scale: float | Literal["auto"] = "auto"


def _said(call: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("name", "007", "007"),
        ("name", "true", "true"),
        ("name", "none", "none"),
        ("name", "", ""),
        ("seed", "7", 7),
        ("seed", "None", None),
        ("out", "runs/x", Path("runs/x")),
        ("out", "none", None),
        ("families", "buying,rates", ("buying", "rates")),
        ("families", "buying", ("buying",)),
        ("families", '["a,b", "c"]', ("a,b", "c")),
        ("families", "[1, 2]", ("1", "2")),
        ("families", "", ()),
        ("sizes", "(1, 2)", (1, 2)),
        ("sizes", "none", None),
        ("model.d_model", "256", 256),
        ("model.positions", "learned", "learned"),
        ("model.experts", "none", None),
        ("model.experts.count", "8", Experts(8)),
        ("stages.1.steps", "1_000", 1000),
        ("stages.0.lr", "3", 3.0),
        ("stages.0.lr", "1e-3", 1e-3),
        ("stages.0.lr", "inf", math.inf),
        ("stages.0.betas", "0.8,1", (0.8, 1.0)),
        ("stages.0.betas.1", "0.99", (0.9, 0.99)),
        ("stages.0.compile", "False", False),
        ("stages.0.compile", "none", None),
        ("stages.0.layers", "4", 4),
        ("stages.0.layers", "3", "3"),
        ("stages", "[{steps = 3}]", (Stage(steps=3),)),
        ("loss_scale", "auto", "auto"),
        ("loss_scale", "2", 2.0),
    ],
)
def test_a_value_is_read_as_its_field_s_type(key: str, text: str, value: object) -> None:
    changed: Any = replace_at(Recipe(), key, text)
    parts = key.split(".")
    if key in ("model.experts.count", "stages.0.betas.1"):
        parts.pop()
    for part in parts:
        changed = changed[int(part)] if part.isdigit() else getattr(changed, part)
    assert changed == value
    assert type(changed) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("model.d_modell", "8", "unknown key model.d_modell (did you mean d_model?)"),
        ("model.d_modell", "8", "the keys of model are d_model, n_heads, positions, experts"),
        ("modle.d_model", "8", "unknown key modle (did you mean model?); the keys at the top are"),
        ("", "8", "the keys at the top are"),
        ("model..d_model", "8", "unknown key model."),
        ("model", "8", "model is a table; set one of its keys: d_model"),
        ("model.d_model", "wide", "model.d_model takes an integer such as 300, not 'wide'"),
        ("model.d_model", "true", "takes an integer"),
        ("model.d_model", "128.0", "takes an integer"),
        ("model.d_model", "9" * 6000, "takes an integer"),
        ("model.d_model.x", "8", "model.d_model takes an integer such as 300 and has no keys"),
        ("model.d_model", "130", "model: d_model 130 must be a multiple of n_heads 4"),
        ("model.positions", "roap", "one of rope, learned, sinusoidal, not 'roap' (did you mean"),
        ("model.experts.active", "3", "model.experts.count is missing; it takes an integer"),
        ("seed", "x", "seed takes an integer such as 300, or \"none\", not 'x'"),
        ("stages.2.steps", "3", "stages has no element '2'; known: 0 to 1"),
        ("stages.-1.steps", "3", "stages has no element '-1'"),
        ("stages.0.lr", "nan", "stages.0.lr takes a number such as 0.02"),
        ("stages.0.betas", "0.9", "stages.0.betas takes a list of 2"),
        ("stages.0.betas", "0.9,x", "stages.0.betas.1 takes a number such as 0.02, not 'x'"),
        ("stages.0.compile", "1", "takes true or false"),
        ("stages", "[{step = 3}]", "unknown key stages.0.step (did you mean steps?)"),
        ("stages", "[" * 5000, "stages.0 takes a table"),
    ],
)
def test_a_wrong_override_is_explained(key: str, text: str, said: str) -> None:
    message = _said(replace_at, Recipe(), key, text)
    assert message.startswith("--set: ")
    assert said in message


def test_overrides_are_checked_together_and_the_last_wins() -> None:
    recipe = apply_overrides(
        Recipe(), ["model.d_model=130", "model.n_heads=5", "name=a", "name=b=c"]
    )
    assert recipe == Recipe(name="b=c", model=Model(d_model=130, n_heads=5))
    assert apply_overrides(Recipe(), []) == Recipe()


@pytest.mark.parametrize("override", ["train", "=3", " =3", ""])
def test_what_is_not_key_value(override: str) -> None:
    assert "--set takes KEY=VALUE" in _said(apply_overrides, Recipe(), [override])


def test_a_key_and_one_below_it() -> None:
    for pair in (["stages=[]", "stages.0.steps=3"], ["stages.0.steps=3", "stages=[]"]):
        assert "keep one" in _said(apply_overrides, Recipe(), pair)


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
    assert said in _said(from_dict, Recipe, data, "recipe r.toml")


def test_a_user_error_of_the_dataclass_keeps_its_words() -> None:
    @dataclass(frozen=True)
    class Strict:
        steps: int = 1

        def __post_init__(self) -> None:
            raise UserError("steps must be even")

    assert _said(from_dict, Strict, {"steps": 3}, "recipe r.toml").endswith("steps must be even")


def test_a_type_no_recipe_can_hold_is_the_programmer_s_fault() -> None:
    @dataclass(frozen=True)
    class Odd:
        anything: complex = 0j

    with pytest.raises(TypeError, match="no recipe can hold"):
        from_dict(Odd, {"anything": 3}, "recipe r.toml")


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
def test_to_dict_and_from_dict_are_inverse_also_through_toml(recipe: Recipe) -> None:
    plain = to_dict(recipe)
    assert from_dict(Recipe, plain, "here") == recipe
    assert from_dict(Recipe, tomllib.loads(tomli_w.dumps(plain)), "here") == recipe


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_override_can_do_worse_than_a_user_error(key: str, text: str) -> None:
    for name in (key, "stages", "sizes", "families", "seed", "stages.0.betas", "loss_scale"):
        try:
            replace_at(Recipe(), name, text)
        except UserError as error:
            assert str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    return parser


def test_shared_options() -> None:
    args = _parser().parse_args([])
    assert vars(args) == {
        "run_folder": None,
        "overrides": [],
        "trackers": [],
        "resume": False,
        "seed": None,
        "device": None,
        "threads": None,
        "json": False,
    }
    line = "--run runs/a --set a=1 --set b=2 --seed 7 --device cuda:1 --threads 2 --resume --json"
    assert vars(_parser().parse_args(line.split())) == {
        "run_folder": Path("runs/a"),
        "overrides": ["a=1", "b=2"],
        "trackers": [],
        "resume": True,
        "seed": 7,
        "device": "cuda:1",
        "threads": 2,
        "json": True,
    }
    assert _parser().parse_args([]).overrides == []  # the list is not shared between parses


@pytest.mark.parametrize(
    "line",
    [
        "--seed -1",
        "--seed 1.5",
        "--seed 9999999999999999999",
        "--seed ٣",
        "--threads 0",
        "--threads many",
        "--device gpu",
        "--device cuda:x",
        "--device cpu\n",
    ],
)
def test_shared_options_refuse(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    option, _, value = line.partition(" ")
    with pytest.raises(SystemExit) as stop:
        _parser().parse_args([f"{option}={value}"])
    assert stop.value.code == 2
    assert option in capsys.readouterr().err
