"""Runs that learn from preferences: from a recipe to a model, interrupted or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import pytest
import torch
from interrupt import Stop
from reward_runs import EVEN, TINY, logged, offer
from tiny_servers import pretrained
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.data.preferences.documents import EncodedPreference
from glassmind.errors import UserError
from glassmind.interop.huggingface import save_folder
from glassmind.interop.load import load_pretrained
from glassmind.pipeline.preferences.results import FALLEN, PreferenceResult
from glassmind.pipeline.preferences.sampled import ranked_pair
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.training import run_training
from glassmind.progress import Silent
from glassmind.records import Node, Problem, Trace
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import read_record

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<|end|>"
    "{% else %}<|question|>{{ m.content }}<|answer|>{% endif %}{% endfor %}"
)
SMALL = (
    *("train.steps=5", "train.batch_rows=2", "train.row_tokens=192", "train.precision=float32"),
    *(
        "train.log_every=1",
        "train.checkpoint_minutes=0",
        "train.validate_every=3",
        "train.warmup=1",
        "train.muon_lr=0.02",
    ),
    *("train.adamw_lr=0.01", "problems.train=12", "problems.validation=6", "problems.test=6"),
    *(
        "problems.dial.min_steps=1",
        "problems.dial.max_steps=2",
        "sampling.samples=3",
        "sampling.max_new_tokens=8",
    ),
    *("start=start", "preferences.pairs=right"),
)
MODEL = "models/chain-of-thought/model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs and folders to start from."""
    folder = tmp_path_factory.mktemp("made")
    untrained_run(folder / "start", "chain-of-thought", TINY)
    untrained_run(folder / "text", "pretrain", TINY)
    save_folder(pretrained(TEMPLATE), folder / "chatty")
    return folder


@pytest.fixture(autouse=True)
def start(scratch: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in the current folder, preferences in files, and a reward that samples differ in."""
    for name in ("start", "text", "chatty"):
        Path(name).symlink_to(made / name)
    offer(monkeypatch, EVEN)
    pairs = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no no"} for n in range(30)]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), "utf-8")
    single: list[dict[str, object]] = [
        {"prompt": f"{n}?", "completion": "yes" if n % 2 else "no", "label": n % 2 == 1}
        for n in range(30)
    ]
    Path("single.jsonl").write_text("\n".join(map(json.dumps, single)), "utf-8")


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("preference"), [*SMALL, *settings])


class Said(Silent):
    """Keeps the sentences that a person would read."""

    def __init__(self) -> None:
        self.text = ""

    def end(self, summary: str = "") -> None:
        self.text += f"{summary}\n"


CHAT = ("start=chatty", "preferences.file=pairs.jsonl", "train.row_tokens=64")
ONLINE = ("objective=online_dpo", "options.questions=3")


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        (("preferences.pairs=sampled", "preferences.reward=even", "options.loss=ipo"), MODEL),
        ((*CHAT, "lora.rank=2", "options.loss=kto"), "model.safetensors"),
        ((*ONLINE, "preferences.reward=even"), MODEL),
    ],
    ids=["sampled", "lora", "online"],
)
def test_an_interrupted_run_ends_like_one_that_was_not(
    settings: tuple[str, ...], model: str
) -> None:
    run_training(recipe(*settings), Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe(*settings), Path("cut"), progress=Stop(3))
    torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe(*settings), Path("cut"), resume=True)
    for name in (model, "preferences.json"):
        if name == model or "objective=online_dpo" not in settings:
            assert (Path("whole") / name).read_bytes() == (Path("cut") / name).read_bytes()
    for name in ("loss", "margin", "logprob_chosen", "validation_loss", "reward", "informative"):
        assert logged("whole", name) == logged("cut", name)
    assert abs(logged("whole", "margin")[0]) < 1e-6  # still its own reference
    assert not list(Path("whole").glob("checkpoints/*"))  # with the rows that were kept
    run_training(recipe(*settings), Path("cut"), resume=True)  # finished: nothing happens


@pytest.mark.parametrize("loss", ["dpo", "orpo"])
def test_preferences_are_learned_and_hold_for_other_prompts(loss: str) -> None:
    fast = ("train.steps=10", "train.adamw_lr=0.03", "train.checkpoint_minutes=1")
    settings = (*CHAT, *fast, f"options.loss={loss}", "preferences.validation_fraction=0.3")
    run = run_training(recipe(*settings), Path("run"))
    found = read_record(PreferenceResult, run.path / "preferences.json")
    assert found.loss == loss and found.n == found.after.higher.n
    assert found.after.higher.share == 1.0 and found.after.margin > found.before.margin
    assert found.gained - found.lost == found.after.likelier.right - found.before.likelier.right
    assert logged("run", "accuracy")[-1] == 1.0
    tuned = load_pretrained(run.path)
    assert tuned.chat_template == load_pretrained("chatty").chat_template


def test_a_model_of_ours_keeps_its_form() -> None:
    said = Said()
    run_training(recipe("options.beta=0.3", "train.steps=2"), Path("run"), progress=said)
    assert "held-out pairs whose chosen answer has the higher implicit reward" in said.text
    loaded = load("run")
    assert loaded.stage == "chain-of-thought"
    assert read_recipe("run").options == {
        **{"loss": "dpo", "beta": 0.3, "label_smoothing": 0.0, "average": False, "margin": 0.0},
        **{"sft": 1.0, "desirable": 1.0, "undesirable": 1.0, "reference": ""},
    }
    # What was tuned can be the reference of more.
    run_training(recipe("options.reference=run", "train.steps=1"), Path("more"))
    assert logged("more", "margin")[0] != pytest.approx(0, abs=1e-6)


def test_single_answers_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    settings = (*CHAT, "preferences.file=single.jsonl", "options.loss=kto", "train.steps=2")
    run_training(recipe(*settings), Path("run"))
    assert not Path("run/preferences.json").exists()  # there are no pairs to measure
    assert 0 < logged("run", "good")[0] < 1
    said = command_line.product(capsys, "data", "check", "single.jsonl", "--as", "preferences")
    assert "single answers: 30" in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("start=text",), "only trained on text"),
        (("options.reference=chatty",), "has another tokenizer than start"),
        (("options.loss=orpo", "options.reference=start"), "orpo has no reference"),
        (("options.loss=ppo",), "loss"),
        (("lora.rank=2", "lora.dropout=0.1"), "lora.dropout .0.1. makes"),
        (
            ("preferences.file=single.jsonl", "start=chatty"),
            "is a single answer .*set options.loss",
        ),
        (("preferences.pairs=sampled", "preferences.reward=verifier"), "needs a verifier"),
        (("preferences.pairs=sampled", "preferences.reward=kindness"), "there is no reward"),
        (("train.row_tokens=10",), "there is no preference to train on"),
        (("preferences.pairs=sampled", "sampling.max_new_tokens=96"), "row_tokens"),
        (("preferences.file=no.jsonl",), "no.jsonl"),
        ((*ONLINE, "options.loss=kto"), "judges single answers"),
        ((*ONLINE, "preferences.file=pairs.jsonl"), "makes its own pairs"),
        ((*ONLINE, "sampling.samples=1"), "sampling.samples must be 2"),
        ((*ONLINE, "preferences.reward=reward-model"), "needs the run of a reward model"),
        ((*ONLINE, "preferences.reward_model=start"), "no reward asks the reward model"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not list(Path().glob("run/models/*"))


def test_preferences_that_do_not_fit_are_named() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": f"{n}?", "chosen": "yes" * (40 if n == 3 else 1), "rejected": "no"}
        for n in range(12)
    ]
    Path("long.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    settings = (*CHAT, "preferences.file=long.jsonl", "train.steps=1")
    said = Said()
    run_training(recipe(*settings), Path("run"), progress=said)
    assert "1 preference of" in said.text and "long.jsonl line 4" in said.text


def test_equal_rewards_prefer_nothing() -> None:
    every = (((2, 4), 1.0), ((3,), 0.0), ((4,), 1.0), ((5, 7), 0.0), ((), -1.0))

    def group(*members: tuple[tuple[int, ...], float]) -> Group:
        chains = [[Node(None, "answer", "x", token_ids=ids)] for ids, _ in members]
        completions = Trace.of_chains("a", chains).completions
        rewards = np.array([[reward] for _, reward in members])
        return Group(Problem("a", "?", "1"), (1,), completions, rewards, (False,) * len(members))

    assert ranked_pair(group(*every), [1.0]) == EncodedPreference((1,), (2, 4), (3,))
    assert ranked_pair(group(*every), [-1.0]) == EncodedPreference((1,), (3,), (2, 4))
    assert ranked_pair(group(every[1], *every[3:]), [1.0]) is None
    assert ranked_pair(group(every[4]), [1.0]) is None


def test_a_fall_of_both_is_explained(made: Path) -> None:
    from glassmind.pipeline.preferences.results import (
        MeasuredPairs,
        PairFigures,
        PairShare,
        preference_result,
        summary,
    )

    def measured(chosen: float, likelier: tuple[bool, ...]) -> MeasuredPairs:
        share = PairShare.of(sum(likelier), len(likelier))
        return MeasuredPairs(PairFigures(share, share, 0.0, chosen, chosen - 1), likelier)

    before, after = measured(-2.0, (True, False, False)), measured(-3.0, (False, True, True))
    result = preference_result("dpo", before, after)
    assert (result.gained, result.lost, result.p_value) == (2, 1, 1.0)
    assert FALLEN in summary(result)
    assert FALLEN not in summary(preference_result("dpo", after, before))
