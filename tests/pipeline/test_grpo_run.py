"""A run that learns from reward: from a recipe to a model, interrupted or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from interrupt import Stop
from reward_runs import EVEN, TINY, logged, offer
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.pipeline.finetune import fine_tuning, objectives
from glassmind.pipeline.training import run_training
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.runs.reward_groups import read_groups

SMALL = (
    *("train.steps=8", "train.row_tokens=192", "train.precision=float32", "train.log_every=1"),
    *("train.checkpoint_minutes=0", "train.warmup=1", "train.muon_lr=0.02", "sampling.samples=2"),
    *("train.adamw_lr=0.01", "problems.train=24", "problems.validation=8", "problems.test=8"),
    *("sampling.max_new_tokens=12", "options.questions=4", "options.group=6", "options.passes=2"),
    *("options.reward=even", "start=start"),
)


@pytest.fixture(autouse=True)
def start(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to start from, and a reward that a model without training can learn."""
    offer(monkeypatch, EVEN)
    untrained_run(scratch / "start", "chain-of-thought", replace(TINY, n_layers=2))


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("grpo"), [*SMALL, *settings])


TRAINER = (
    *("options.old=trainer", "options.correction=truncate", "options.resample=1"),
    *("options.advantage=rloo", "options.kl=0.1", "options.kl_place=reward"),
)


@pytest.mark.parametrize(
    "settings", [TRAINER, ("options.kl=0.1", "lora.rank=2")], ids=["trainer", "lora"]
)
def test_an_interrupted_run_ends_like_one_that_was_not(settings: tuple[str, ...]) -> None:
    run_training(recipe(*settings), Path("whole"))
    for at in (3, 5):  # between two passes over one set of samples, and before new ones
        with pytest.raises(KeyboardInterrupt):
            run_training(recipe(*settings), Path("cut"), resume=at > 3, progress=Stop(at))
        torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe(*settings), Path("cut"), resume=True)
    model = "models/chain-of-thought/model.safetensors"
    assert (Path("whole") / model).read_bytes() == (Path("cut") / model).read_bytes()
    for name in ("loss", "reward", "entropy", "kl", "logprob_diff"):
        assert logged("whole", name) == logged("cut", name)
    assert read_groups(Path("whole")) == read_groups(Path("cut"))
    assert [group.step for group in read_groups(Path("cut"))] == list(range(1, 9))
    ratios = logged("cut", "ratio_first")
    assert ratios == [0.0] * 4 if settings == TRAINER else 0 < max(ratios) < 1e-4
    # On the first pass, the trainer has the log-probabilities with which the engine drew.
    assert len(logged("whole", "logprob_diff")) == 4
    assert all(difference < 1e-4 for difference in logged("whole", "logprob_diff"))
    assert read_recipe("whole").options["clip_low"] == 0.2  # written out


def test_the_reward_rises_and_the_model_can_be_asked() -> None:
    run = run_training(recipe("train.steps=24", "options.passes=1"), Path("run"))
    rewards = logged("run", "reward")
    assert sum(rewards[-6:]) > sum(rewards[:6]) + 6 * 0.1
    llm = LocalLLM.of_run(load(str(run.path)), "run")
    assert llm.style == "chain"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("objective=grop",), "there is no objective 'grop'.*chat.*grpo"),
        (("options.grup=3",), "grup"),
        (("options.group=1",), "group must be 2"),
        (("options.reward=kindness",), "there is no reward 'kindness'"),
        (("options.reward=answer +",), "is not a sum of rewards"),
        (("options.overlong=13",), "more than sampling.max_new_tokens"),
        (("options.correction=mask",), 'set old = "trainer"'),
        (("lora.rank=2", "lora.dropout=0.1"), "lora.dropout"),
        (("options.reward=verifier",), "needs a verifier, and start has none"),
        (("sampling.top_k=5",), "top_k"),
        (("sampling.temperature=0",), "temperature is 0"),
        (("sampling.max_new_tokens=192",), "row_tokens"),
        (("objective=chat",), "the objective chat has no options"),
        (("start=",), "set start"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()


def test_every_objective_is_a_file_of_the_folder() -> None:
    tuned = {"chat", "classify", "distill", "grpo", "online_dpo", "ppo", "preference", "pretrain"}
    assert set(objectives()) == tuned | {"rejection", "reward_model", "sft"}
    for name in objectives():
        assert callable(fine_tuning(name).tune)
