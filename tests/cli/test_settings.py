"""The shared options."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from dataclass_trees import Recipe, refusal

from glassmind.cli.settings import add_run_options, apply_overrides


@pytest.mark.parametrize("override", ["train", "=3", " =3", ""])
def test_what_is_not_key_value(override: str) -> None:
    assert "--set takes KEY=VALUE" in refusal(apply_overrides, Recipe(), [override])


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
