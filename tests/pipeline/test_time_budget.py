"""Minutes become steps once, and the run is then like any other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import complaint, product

from glassmind.errors import UserError
from glassmind.pipeline import time_budget
from glassmind.pipeline.time_budget import step_seconds, within
from glassmind.runs.dial import batch_tokens, dialled
from glassmind.runs.recipe import Recipe, read_recipe

CPU = torch.device("cpu")
TEXT = read_recipe("text")
Command = Callable[..., list[str]]
Refused = Callable[[Sequence[str], str], None]
STORY = "The cat sat on the mat, and the dog sat on the log, for it was late. "


def quick(recipe: Recipe) -> Recipe:
    return replace(recipe, train=replace(recipe.train, compile="off", precision="float32"))


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine on which the cube of the width counts; the depths it was asked about."""
    asked: list[int] = []

    def known(recipe: Recipe, *rest: object) -> float:
        asked.append(recipe.model.n_layers)
        return 1e-6 * recipe.model.d_model**3 * batch_tokens(recipe) / 3072

    monkeypatch.setattr(time_budget, "step_seconds", known)
    return asked


def total(recipe: Recipe) -> float:
    """Seconds of a whole training on that machine."""
    return recipe.train.steps * time_budget.step_seconds(recipe, 0, CPU)


def test_a_depth_gets_the_steps_that_fit_and_the_batch_for_so_many_tokens(
    timings: list[int],
) -> None:
    short = within(TEXT, 1, 4, lambda r: r, device=CPU)
    long = within(TEXT, 1000, 4, lambda r: r, device=CPU)
    for recipe, minutes in ((short, 1), (long, 1000)):
        assert 0.94 * minutes * 60 < total(recipe) <= 0.95 * minutes * 60
        assert recipe.model == dialled(TEXT, 4).model
        assert recipe.train.warmup == max(1, round(0.025 * recipe.train.steps))
    assert batch_tokens(long) > batch_tokens(dialled(TEXT, 4)) > batch_tokens(short)


@pytest.mark.parametrize("minutes", [1, 10, 100, 1000])
def test_without_a_depth_the_deepest_whose_horizon_fits(timings: list[int], minutes: int) -> None:
    recipe = within(TEXT, minutes, None, lambda r: r, device=CPU)
    depth = recipe.model.n_layers
    assert len(timings) <= 5
    assert recipe == dialled(TEXT, depth)
    assert total(recipe) <= 0.95 * minutes * 60 < total(dialled(TEXT, depth + 1))


def test_where_no_horizon_fits_the_smallest_is_trained_as_long_as_it_goes(
    timings: list[int],
) -> None:
    recipe = within(TEXT, 0.004, None, lambda r: r, device=CPU)
    assert recipe.model.n_layers == 1
    assert 10 <= recipe.train.steps < dialled(TEXT, 1).train.steps


def test_what_the_command_line_sets_wins(timings: list[int]) -> None:
    def finish(recipe: Recipe) -> Recipe:
        return replace(recipe, train=replace(recipe.train, batch_rows=32, muon_lr=0.5))

    recipe = within(TEXT, 1, 4, finish, device=CPU)
    assert (recipe.train.batch_rows, recipe.train.muon_lr) == (32, 0.5)
    assert 0.9 * 60 < total(recipe) <= 0.95 * 60


def test_too_short_a_time_is_refused(timings: list[int]) -> None:
    with pytest.raises(UserError, match="at least 10"):
        within(TEXT, 0.01, 12, lambda r: r, device=CPU)
    with pytest.raises(UserError, match="starts from smollm2"):
        within(replace(TEXT, start="smollm2"), 1, None, lambda r: r, device=CPU)


@pytest.mark.parametrize("objective", ["pretrain", "sft"])
def test_timing_leaves_every_random_generator_as_it_was(objective: str) -> None:
    recipe = quick(dialled(replace(TEXT, objective=objective), 1))
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()
    assert 0 < step_seconds(recipe, 300, CPU) < 60
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tobytes() == before[2]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    (tmp_path / "story.txt").write_text(STORY * 400)

    def build(*options: str) -> list[str]:
        fixed = (f"pretrain.file={tmp_path / 'story.txt'}", "tokenizer.kind=char",
                 "train.row_tokens=32", "train.compile=off")  # fmt: skip
        sets = [word for value in fixed for word in ("--set", value)]
        return ["train", "text", *sets, "--run", str(tmp_path / "run"), *options]

    return build


def test_minutes_are_timed_once_and_stored(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(time_budget, "step_seconds", lambda *_: 0.1)
    product(capsys, *command("--minutes", "0.03", "--depth", "1"))
    stored = (tmp_path / "run" / "recipe.toml").read_bytes()
    assert read_recipe(str(tmp_path / "run")).train.steps == 17
    monkeypatch.setattr(time_budget, "step_seconds", lambda *_: pytest.fail("timed again"))
    product(capsys, *command("--minutes", "0.03", "--depth", "1", "--resume"))
    product(capsys, *command("--minutes", "0.03", "--resume"))
    assert (tmp_path / "run" / "recipe.toml").read_bytes() == stored
    refused = complaint(capsys, *command("--minutes", "0.03", "--depth", "2", "--resume"))
    assert "was started at depth 1, not 2" in refused
    refused = complaint(capsys, *command("--minutes", "0.03", "--resume", "--set", "train.steps=9"))
    assert "train.steps (17, now 9)" in refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--set", "pretrain.file=no.txt"), "there is no text file no.txt"),
        (("--set", "pretrain.validation_file=no.txt"), "there is no text file no.txt"),
        (("--set", "pretrain.file="), "needs a text: set pretrain.file"),
        (("--set", "objective=sft", "--set", "problems.file=no.jsonl"), "cannot read no.jsonl"),
        (("--run", "."), "exists and is not a run"),
    ],
    ids=["text", "validation", "none", "problems", "folder"],
)
def test_what_cannot_be_trained_is_not_timed(
    command: Command,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.setattr(time_budget, "step_seconds", lambda *_: pytest.fail("was timed"))
    refused([*command("--minutes", "3"), *options], sentence)


def test_depth_and_set_on_the_command_line(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    product(
        capsys,
        *command("--depth", "3", "--set", "train.steps=2", "--set", "model.d_model=24"),
        *("--set", "model.attention.head_dim=8", "--seed", "5"),
    )
    recipe = read_recipe(str(tmp_path / "run"))
    assert (recipe.model.n_layers, recipe.model.d_model, recipe.model.head_dim) == (3, 24, 8)
    assert (recipe.train.steps, recipe.seed) == (2, 5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--depth", "0"), "depth must be a whole number from 1 to 64, not 0"),
        (("--minutes", "0"), "a number of minutes above 0, not '0'"),
        (("--minutes", "nan"), "a number of minutes above 0, not 'nan'"),
        (("--minutes=-3",), "a number of minutes above 0, not '-3'"),
        (("--depth", "many"), "invalid int value: 'many'"),
        (("--depth", "3", "--set", "start=word-problems"), "depth and minutes shape a new model"),
        (("--minutes", "3", "--set", "start=word-problems"), "depth and minutes shape a new model"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence(
    command: Command, refused: Refused, options: tuple[str, ...], sentence: str
) -> None:
    refused(command(*options), sentence)
