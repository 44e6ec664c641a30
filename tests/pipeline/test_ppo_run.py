"""A run of PPO: from a recipe to a model, interrupted or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupt import Stop
from reward_runs import EVEN, TINY, logged, offer
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.data.batches.columns import COMPLETION
from glassmind.data.problems.curriculum import make_curriculum
from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.model import ActorCritic
from glassmind.pipeline.rollouts.critic_options import PPOOptions
from glassmind.pipeline.rollouts.critic_source import CriticRollouts
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.training import run_training
from glassmind.progress import Silent
from glassmind.reason.reward import Reward
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Problem
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.runs.reward_groups import read_groups
from glassmind.train import PPO
from glassmind.train.processes.process_group import ProcessGroup

SMALL = (
    *("train.steps=6", "train.row_tokens=192", "train.precision=float32", "train.log_every=1"),
    *("train.checkpoint_minutes=0", "train.warmup=1", "train.muon_lr=0.02"),
    *("train.adamw_lr=0.01", "problems.train=24", "problems.validation=8", "problems.test=8"),
    *("sampling.max_new_tokens=10", "options.questions=12", "options.reward=even", "start=start"),
)


@pytest.fixture(autouse=True)
def start(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to start from, and rewards that a model without training can learn, or not."""
    everything = Reward("all", "all right", "1 for everything.", lambda problem, completion: 1.0)
    offer(monkeypatch, EVEN, everything)
    untrained_run(scratch / "start", "chain-of-thought", TINY)


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("ppo"), [*SMALL, *settings])


MODEL = Path("models/chain-of-thought/model.safetensors")


@pytest.mark.parametrize(
    ("settings", "cuts"),
    [
        (("options.kl=0.1", "options.kl_target=0.5"), (3, 5)),
        (("options.critic=shared", "lora.rank=2", "train.accumulate=2"), (3,)),
    ],
    ids=["own critic and reference", "shared, lora"],
)
def test_an_interrupted_run_ends_like_one_that_was_not(
    settings: tuple[str, ...], cuts: tuple[int, ...]
) -> None:
    """Cut between the mini-batches of one set of samples, and before a new one."""
    run_training(recipe(*settings), Path("whole"))
    for at in cuts:
        with pytest.raises(KeyboardInterrupt):
            run_training(recipe(*settings), Path("cut"), resume=at > 3, progress=Stop(at))
        torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe(*settings), Path("cut"), resume=True)
    assert (Path("whole") / MODEL).read_bytes() == (Path("cut") / MODEL).read_bytes()
    for name in ("loss", "reward", "value_loss", "explained_variance", "kl_weight"):
        assert logged("whole", name) == logged("cut", name), name
    assert read_groups(Path("whole")) == read_groups(Path("cut"))
    assert [group.step for group in read_groups(Path("whole"))] == list(range(1, 7))
    # Four steps on a set: the first of them is on samples of the policy as it is.
    first = logged("whole", "ratio_first")
    assert len(first) == 2 and max(first) < 1e-4
    if "options.kl=0.1" in settings:
        # Before the first update the policy is the reference, so that the weight was lowered.
        assert logged("whole", "kl_weight") == pytest.approx([0.1] * 4 + [0.1 * 0.98] * 2)
        far = logged("whole", "kl_completion")
        assert far[0] == pytest.approx(0, abs=1e-3) and far[4] > 1e-3


def test_the_reward_rises_and_the_critic_learns() -> None:
    settings = ("train.steps=16", "options.questions=24", "options.value_clip=0")
    run = run_training(recipe(*settings), Path("run"))
    rewards, errors = logged("run", "reward"), logged("run", "value_loss")
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.05
    assert logged("run", "explained_variance")[0] == pytest.approx(0, abs=1e-6)  # it expects 0
    assert np.mean(errors[-4:]) < errors[0] / 2
    assert load(str(run.path)).stage == "chain-of-thought"


def test_when_all_are_right_nothing_breaks() -> None:
    settings = ("options.reward=all", "train.steps=4")
    run_training(recipe(*settings), Path("run"))
    assert logged("run", "reward") == [1.0] * 4
    assert np.isfinite(logged("run", "loss")).all()
    assert logged("run", "value_loss")[0] == pytest.approx(0.5, rel=1e-4)  # 0 expected, 1 came


def test_a_mini_batch_is_like_the_whole_set() -> None:
    """Packed rows are sorted by length, and a mini-batch must not be."""
    settings = recipe("options.questions=24", "train.row_tokens=96")
    options = PPOOptions(**settings.options)  # type: ignore[arg-type]
    llm = LocalLLM.of_run(load("start"), "start")
    llm = replace(llm, stop_ids=frozenset(range(3, 300, 8)))
    problems = [Problem(f"p-{n}", f"How many is {n}?", str(n)) for n in range(24)]
    rewarding = Rewarding.of(llm, parse_reward("even"), seconds=60, overlong=0, most_tokens=10)
    order = make_curriculum("uniform", problems, seed=0)
    alarm = DriftAlarm(settings.sampling, Silent())
    sampler = GroupSampler(llm, order, rewarding, settings, 1, alarm)
    objective = PPO(ActorCritic(llm.model, own_trunk=False), options)
    source = CriticRollouts(llm, sampler, objective, settings, options, Path("run"), ProcessGroup())
    lengths = []
    for rows in (source.next(), source.next()):
        own = [
            int((rows[COMPLETION][row] & (rows.documents[row] == document)).sum())
            for row in range(len(rows))
            for document in range(1, rows.documents[row].max() + 1)
        ]
        lengths.append(own)
    assert sum(map(len, lengths)) == 24
    assert min(lengths[0]) < max(lengths[1]) and min(lengths[1]) < max(lengths[0])


def test_tokens_are_credited_from_where_they_stand() -> None:
    """Without a critic that has learned, every token of a completion has its reward as advantage,
    and with a discount the earlier ones less."""
    settings = ("train.steps=1", "options.whiten=false", "options.discount=0.5")
    run_training(recipe(*settings), Path("run"))
    (group,) = read_groups(Path("run"))
    (completion,) = group.completions
    n = len(completion.ids)
    expected = completion.reward * np.mean([0.5 ** (n - 1 - t) for t in range(n)])
    assert completion.advantage == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("options.advantage=grpo",), "advantage"),
        (("options.mini_batches=0",), "mini_batches must be at least 1"),
        (("options.trace=1.5",), r"trace in \[0, 1\]"),
        (("options.value_weight=0",), "value_weight must be above 0"),
        (("options.kl_target=3",), "set kl above 0"),
        (("options.old=trainer",), "set mini_batches to 1"),
        (("options.resample=2",), "set group to 2 or more"),
        (("options.critic=none",), "critic"),
        (("lora.rank=2",), 'options.critic to "shared"'),
        (("sampling.top_p=0.9",), "top_p"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()
