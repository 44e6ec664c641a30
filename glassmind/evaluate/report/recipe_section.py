"""The report's recipe: what somebody changed in it, before all of its two hundred lines.

A run's recipe is compared with the one of its name that comes with the package, or, if there is
none, with the defaults.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from glassmind.evaluate.flat_settings import flat
from glassmind.runs.recipe import Recipe, packaged_recipe, recipe_toml

ABSENT = "(not there)"


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A setting by its dotted key, as this run has it and as the base has it."""

    key: str
    value: str
    usual: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The settings in which a run differs from ``base``, which is named for people."""

    base: str
    settings: tuple[ChangedSetting, ...]


def changes_of(recipe: str) -> Changes | None:
    """What is changed in a recipe, given as the TOML that a run keeps; ``None`` where it is no
    TOML, which the report then shows as it is."""
    try:
        mine = tomllib.loads(recipe)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    packaged = packaged_recipe(str(mine.get("name", "")))
    base = f"the recipe {packaged.name}" if packaged is not None else "the defaults"
    usual = flat(tomllib.loads(recipe_toml(packaged if packaged is not None else Recipe())))
    own = flat(mine)
    changed = [
        ChangedSetting(key, value, usual.get(key, ABSENT))
        for key, value in own.items()
        if value != usual.get(key) and key not in ("name", "about")
    ]
    return Changes(base, tuple(changed))
