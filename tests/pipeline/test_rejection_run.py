"""Runs that learn from their own right answers: interrupted or not, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interrupt import Stop
from reward_runs import EVEN, TINY, logged, offer
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.generate import Engine
from glassmind.pipeline.training import run_training
from glassmind.pipeline.tunings import rejection
from glassmind.pipeline.tunings.rejection import Rounds
from glassmind.progress import Silent
from glassmind.reason import kept_chains
from glassmind.records import Completion
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import read_record

SMALL = (
    *("train.steps=3", "train.row_tokens=192", "train.precision=float32", "train.log_every=1"),
    *("train.checkpoint_minutes=60", "train.warmup=1", "train.muon_lr=0.02", "train.adamw_lr=0.01"),
    *("train.batch_rows=2", "problems.train=24", "problems.validation=8", "problems.test=8"),
    *("sampling.max_new_tokens=12", "options.questions=6", "options.samples=4"),
    *("options.reward=even", "options.threshold=0.5", "start=start"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    untrained_run(folder / "start", "chain-of-thought", TINY)
    untrained_run(folder / "text", "pretrain", TINY)
    return folder


@pytest.fixture(autouse=True)
def start(scratch: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to start from, and a reward that a model without training sometimes gets."""
    offer(monkeypatch, EVEN)
    monkeypatch.setattr(rejection, "CHUNK", 4)
    # A chain of an untrained model hardly ever ends by itself, and has no equations.
    monkeypatch.setattr(Completion, "finish", "stop")
    monkeypatch.setattr(kept_chains, "equations", lambda chain: chain.token_ids)
    for model in made.iterdir():
        (scratch / model.name).symlink_to(model)


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("rejection"), [*SMALL, *settings])


class StopSampling(Silent):
    """Presses Ctrl-C when the first chunk of round 2 is sampled."""

    stage = ""

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.stage = stage

    def update(self, done: int, **figures: float) -> None:
        if self.stage == "sampling round 2":
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "settings",
    [("options.curriculum=solve-rate", "lora.rank=2"), ("options.restart=false",)],
    ids=["curriculum", "going on"],
)
def test_an_interrupted_run_ends_like_one_that_was_not(
    settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*settings, "train.checkpoint_minutes=0")
    run_training(recipe(*settings), Path("whole"))
    for progress in (Stop(1), StopSampling(), Stop(2)):  # in round 1, in sampling, in round 2
        with pytest.raises(KeyboardInterrupt):
            resume = Path("cut").exists()
            run_training(recipe(*settings), Path("cut"), resume=resume, progress=progress)
        torch.rand(3)  # a new process has drawn other numbers
    # All chains are on the disk by now, so none is sampled a second time.
    monkeypatch.setattr(Engine, "generate", None)
    run_training(recipe(*settings), Path("cut"), resume=True)
    model = "models/chain-of-thought/model.safetensors"
    assert (Path("whole") / model).read_bytes() == (Path("cut") / model).read_bytes()
    assert not {"rounds", "checkpoints"} & {path.name for path in Path("cut").iterdir()}
    for name in ("loss", "solve_rate", "accepted", "kept"):
        assert logged("whole", name) == logged("cut", name)
    assert len(logged("cut", "loss")) == 6
    whole, cut = (read_record(Rounds, Path(run, "rounds.json")) for run in ("whole", "cut"))
    assert whole == cut
    assert [found.number for found in cut.rounds] == [1, 2]


def test_the_reward_rises_and_the_figures_are_consistent() -> None:
    settings = ("options.questions=24", "options.samples=6", "options.threshold=0.6")
    run_training(recipe("train.steps=12", *settings), Path("run"))
    first, second = read_record(Rounds, Path("run/rounds.json")).rounds
    assert second.accepted > first.accepted + 0.1 * 144
    assert 0 < first.kept <= first.distinct <= first.accepted < first.chains == 144
    assert 0 < first.solved <= first.questions == 24
    assert first.solve_rate == first.right / 144
    assert load("run").stage == "chain-of-thought"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("options.rounds=0",), "rounds must be 1 to"),
        (("options.samples=2000",), "samples must be 1 to"),
        (("options.questions=0",), "questions must be at least 1"),
        (("options.reward=kindness",), "there is no reward 'kindness'"),
        (("options.reward=verifier",), "verifier"),
        (("options.curriculum=hard",), "curriculum"),
        (("sampling.temperature=0",), "temperature is 0"),
        (("sampling.max_new_tokens=192",), "row_tokens"),
        (("train.weights=best",), "holds none out"),
        (("lora.rank=2", "options.restart=false"), "each round adds another"),
        (("start=",), "set start"),
        (("start=text",), "only pretrained"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()


def test_without_a_right_chain_there_is_one_sentence() -> None:
    with pytest.raises(UserError, match="accepts none of the 24 chains of round 1"):
        run_training(recipe("options.threshold=2"), Path("run"))
