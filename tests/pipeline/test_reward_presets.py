"""The presets of docs/REWARDS.md are options that there are, and can be used together."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from glassmind.cli.settings import apply_overrides
from glassmind.pipeline.finetune import with_all_options
from glassmind.pipeline.rollouts.options import GRPOOptions
from glassmind.reason.reward_sum import parse_reward
from glassmind.runs.recipe import read_recipe
from glassmind.serialization.field_types import init_fields

PAGE = (Path(__file__).parents[2] / "docs" / "REWARDS.md").read_text("utf-8")
PRESETS = dict(re.findall(r"^\| ([^|]+) \| `([^`|]+)` \|$", PAGE.split("## Presets")[1], re.M))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_set(name: str) -> None:
    settings = [f"options.{part}" for part in shlex.split(PRESETS[name])]
    recipe = with_all_options(apply_overrides(read_recipe("grpo"), settings))
    for setting in settings:
        key, value = setting.removeprefix("options.").split("=")
        assert str(recipe.options[key]) == value
    parse_reward(str(recipe.options["reward"]))


def test_the_page_names_every_option_with_its_default() -> None:
    assert len(PRESETS) >= 8
    section = PAGE.split("## Every switch")[1].split("## Presets")[0]
    told: dict[str, str] = {}
    for names, values in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", section, re.M):
        told |= zip(re.findall(r"\w+", names), values.replace("`", "").split(", "), strict=True)
    fields = init_fields(GRPOOptions)
    assert told.keys() == fields.keys()
    for name, field in fields.items():
        if isinstance(field.default, str):
            assert told[name] == (field.default or '""'), name
        else:
            assert json.loads(told[name]) == field.default, name
