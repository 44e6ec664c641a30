"""The options that several verbs share, such as ``--set``, which changes any value of a recipe.

glassmind train demo --run runs/wide --set model.d_model=192 --set train.steps=300 --seed 7
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from glassmind.errors import UserError

Recipe = TypeVar("Recipe")

_LARGEST_SEED = 2**63 - 1
_MOST_MINUTES = 1e6  # two years
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,3})?")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the shared options. They are stored in the namespace as

    ``overrides`` (list of ``KEY=VALUE``), ``trackers`` (list of names), ``run_folder``
    (``Path | None``), ``seed``, ``threads`` (``int | None``), ``device`` (``str | None``),
    ``resume`` and ``json`` (``bool``); ``None`` leaves the choice to the recipe.
    """
    group = parser.add_argument_group("options of every run")
    group.add_argument(
        "--run", dest="run_folder", type=Path, metavar="FOLDER", help="the run's folder"
    )
    group.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe, for example train.steps=300; repeatable",
    )
    group.add_argument(
        "--track",
        dest="trackers",
        action="append",
        default=[],
        choices=["tensorboard", "trackio", "wandb"],
        help="also send the training metrics there; repeatable",
    )
    group.add_argument(
        "--resume", action="store_true", help="continue an interrupted run with its own recipe"
    )
    group.add_argument("--seed", type=_seed, metavar="N", help="the random seed")
    group.add_argument("--device", type=_device, help="auto, cpu, cuda, cuda:1, mps, ...")
    group.add_argument("--threads", type=_threads, metavar="N", help="number of CPU threads")
    group.add_argument("--json", action="store_true", help="one JSON object on standard output")


def apply_overrides(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Return the recipe (a tree of frozen dataclasses) with every ``KEY=VALUE`` applied.

    The value is read as the field's type: ``train.steps=300``, ``data.families=buying,rates``,
    ``model.experts=none``. Raises ``UserError`` for anything but ``KEY=VALUE``, for an unknown key
    (naming the nearest one, and all at that level) and for a value of the wrong type.
    """
    # Imported here, because a verb's --help does not need the package of runs.
    from glassmind.runs.overrides import replace_many

    changes = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise UserError(
                f"--set takes KEY=VALUE, for example train.steps=300, not {override[:60]!r}"
            )
        changes.append((key.strip(), text))
    return replace_many(recipe, changes) if changes else recipe


def minutes(text: str) -> float:
    """The type of ``--minutes``: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MOST_MINUTES:  # a NaN fails this too
        raise argparse.ArgumentTypeError(f"a number of minutes above 0, not {text[:40]!r}")
    return value


def _seed(text: str) -> int:
    seed = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= seed <= _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"an integer from 0 to 2^63 - 1, not {text[:40]!r}")
    return seed


def _threads(text: str) -> int:
    threads = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if threads < 1:
        raise argparse.ArgumentTypeError(f"an integer from 1 to 9999, not {text[:40]!r}")
    return threads


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"auto, cpu, cuda, cuda:NUMBER, xpu, xpu:NUMBER or mps, not {text[:40]!r}"
        )
    return text
