"""``glassmind scaling``: ordinary runs, a law through them, and the same again after Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import complaint, product
from interrupt import Stop

from glassmind.evaluate.scaling.page import Scaling, ScalingRecord, scaling_record
from glassmind.model import Transformer
from glassmind.pipeline.scaling import run_scaling
from glassmind.pipeline.training import run_training
from glassmind.runs.recipe import PretrainConfig, Recipe, read_recipe
from glassmind.serialization import read_json, read_record
from glassmind.tokenize import load

Command = Callable[..., list[str]]
Refused = Callable[[Sequence[str], str], None]
STORY = "The cat sat on the mat, and the dog sat on the log, for it was late. "


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "story.txt").write_text(STORY * 200)
    text = read_recipe("text")
    return replace(
        text,
        name="tiny",
        pretrain=PretrainConfig(str(tmp_path / "story.txt")),
        tokenizer=replace(text.tokenizer, kind="char"),
        model=replace(text.model, max_tokens=32),
        train=replace(text.train, row_tokens=32, compile="off", precision="float32", log_every=2),
    )


def few_steps(recipe: Recipe) -> Recipe:
    """All sizes with the same few tokens: quick, and a law all the same."""
    train = replace(recipe.train, steps=3 * recipe.model.n_layers, batch_rows=4, accumulate=1)
    return replace(recipe, train=train)


def scaled(recipe: Recipe, folder: Path, **options: object) -> Scaling:
    return run_scaling(recipe, folder, (1, 2, 3), finish=few_steps, **options)  # type: ignore[arg-type]


def test_the_points_are_those_of_ordinary_runs(recipe: Recipe, tmp_path: Path) -> None:
    scaling = scaled(recipe, tmp_path / "scaling")
    assert [(p.depth, p.tokens) for p in scaling.points] == [(1, 384), (2, 768), (3, 1152)]
    folder = tmp_path / "scaling" / "depth-2-seed-0"
    alone = run_training(read_recipe(str(folder)), tmp_path / "alone")
    measured = read_json(alone.path / "validation.json")["bits_per_byte"]
    assert scaling.points[1].loss == measured
    point = scaling.points[0]
    run = read_recipe(str(tmp_path / "scaling" / "depth-1-seed-0"))
    size = load(folder / "tokenizer.json").vocab_size
    model = Transformer(replace(run.model, vocab_size=size))
    weights = sum(p.numel() for n, p in model.named_parameters() if "blocks." in n and p.dim() > 1)
    attention = 2 * 2 * 32 * (32 + 1) / 2  # scores and sums over the mean of 1 to 32 keys
    work = 3 * (2 * (weights + size * 32) + attention)
    assert point.compute == pytest.approx(384 * work)
    kept = read_record(ScalingRecord, tmp_path / "scaling" / "scaling.json")
    assert kept == scaling_record(scaling)
    assert "<svg" in (tmp_path / "scaling" / "scaling.html").read_text("utf-8")


def test_interrupted_and_resumed_is_never_stopped(recipe: Recipe, tmp_path: Path) -> None:
    whole = scaled(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        scaled(recipe, tmp_path / "cut", progress=Stop(4))  # in the second run
    assert not (tmp_path / "cut" / "scaling.json").exists()
    assert scaled(recipe, tmp_path / "cut", resume=True).points == whole.points
    assert scaled(recipe, tmp_path / "cut", resume=True).points == whole.points  # nothing to do


def test_seeds_are_runs_of_their_own(recipe: Recipe, tmp_path: Path) -> None:
    scaling = scaled(recipe, tmp_path / "scaling", seeds=2)
    assert [(p.depth, p.seed) for p in scaling.points] == [
        (depth, seed) for depth in (1, 2, 3) for seed in (0, 1)
    ]
    assert scaling.points[0].loss != scaling.points[1].loss


@pytest.fixture
def command(recipe: Recipe, tmp_path: Path) -> Command:
    def build(*options: str) -> list[str]:
        sets = [
            f"pretrain.file={recipe.pretrain.file}", "tokenizer.kind=char", "train.row_tokens=32",
            "train.compile=off", "train.steps=4", "train.batch_rows=4", "train.log_every=1",
        ]  # fmt: skip
        return ["scaling", "text", "--run", str(tmp_path / "run"), *options] + [
            word for value in sets for word in ("--set", value)
        ]

    return build


def test_the_verb(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = product(capsys, *command("--depths", "1,2,3"))
    assert "Fitted without depth 3" in printed
    record = json.loads(product(capsys, *command("--depths", "1,2,3", "--resume", "--json")))
    assert record == read_json(tmp_path / "run" / "scaling.json")
    bare = ("scaling", "--run", str(tmp_path / "run"), "--resume")  # nothing need be said again
    assert json.loads(product(capsys, *bare, "--json")) == record
    refused = complaint(capsys, *bare, "--tokens-per-parameter", "3")
    assert "another --tokens-per-parameter (8, now 3)" in refused
    refused = complaint(capsys, *command("--depths", "1,2,3"))
    assert "already holds something: go on with a scaling by --resume" in refused
    other = command("--depths", "1,2,3", "--resume", "--set", "train.clip=2")
    refused = complaint(capsys, *other)
    assert "was started with another train" in refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--depths", "2,3"), "at least 3 different depths"),
        (("--depths", "2,2,2"), "at least 3 different depths"),
        (("--depths", "0,1,2"), "depth must be a whole number from 1 to 64, not 0"),
        (("--depths", "two"), "--depths takes whole numbers such as 2,3,4,5"),
        (("--seeds", "0"), "--seeds takes a number from 1 to 100, not 0"),
        (("--tokens-per-parameter", "nan"), "--tokens-per-parameter takes a number above 0"),
        (("--set", "start=smollm2"), "this recipe starts from smollm2"),
        (("--set", "pretrain.validation_fraction=0"), "there is no held-out text to measure on"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence(
    command: Command, refused: Refused, options: tuple[str, ...], sentence: str
) -> None:
    refused(command(*options), sentence)
