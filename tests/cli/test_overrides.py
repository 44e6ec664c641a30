"""``--set key=value``: changing single values of a tree of dataclasses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from dataclass_trees import Experts, Model, Recipe, Stage, refusal
from hypothesis import given
from hypothesis import strategies as st

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.runs.overrides import replace_at


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
    message = refusal(replace_at, Recipe(), key, text)
    assert message.startswith("--set: ")
    assert said in message


def test_overrides_are_checked_together_and_the_last_wins() -> None:
    recipe = apply_overrides(
        Recipe(), ["model.d_model=130", "model.n_heads=5", "name=a", "name=b=c"]
    )
    assert recipe == Recipe(name="b=c", model=Model(d_model=130, n_heads=5))
    assert apply_overrides(Recipe(), []) == Recipe()


def test_a_key_and_one_below_it() -> None:
    for pair in (["stages=[]", "stages.0.steps=3"], ["stages.0.steps=3", "stages=[]"]):
        assert "keep one" in refusal(apply_overrides, Recipe(), pair)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_override_can_do_worse_than_a_user_error(key: str, text: str) -> None:
    for name in (key, "stages", "sizes", "families", "seed", "stages.0.betas", "loss_scale"):
        try:
            replace_at(Recipe(), name, text)
        except UserError as error:
            assert str(error)
