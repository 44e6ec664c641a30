"""A run that trains a reward model: from pairs to scores of what another model wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
import torch
from interrupt import Stop
from reward_runs import TINY
from tiny_servers import pretrained
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.interop.huggingface import save_folder
from glassmind.llm import LocalLLM
from glassmind.llm.opening import open_local
from glassmind.pipeline.preferences.reward_results import RewardModelResult
from glassmind.pipeline.reward_models import load_reward_model
from glassmind.pipeline.training import run_training
from glassmind.records import REWARD, Node, Problem, Trace
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import read_record

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<|end|>"
    "{% else %}<|question|>{{ m.content }}<|answer|>{% endif %}{% endfor %}"
)
SMALL = (
    *("train.steps=4", "train.batch_rows=2", "train.row_tokens=96", "train.precision=float32"),
    *("train.log_every=1", "train.checkpoint_minutes=0", "train.warmup=1", "train.muon_lr=0.02"),
    *("train.adamw_lr=0.03", "problems.train=12", "problems.validation=6", "problems.test=6"),
    *("problems.dial.min_steps=1", "problems.dial.max_steps=2", "preferences.pairs=right"),
    "start=start",
)
CHAT = ("start=chatty", "preferences.file=pairs.jsonl", "train.row_tokens=64")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    untrained_run(folder / "start", "chain-of-thought", TINY)
    save_folder(pretrained(TEMPLATE), folder / "chatty")
    return folder


@pytest.fixture(autouse=True)
def start(scratch: Path, made: Path) -> None:
    for name in ("start", "chatty"):
        Path(name).symlink_to(made / name)
    pairs = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no no"} for n in range(30)]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), "utf-8")


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("reward-model"), [*SMALL, *settings])


def test_a_chat_s_answers_are_scored_and_the_run_can_be_interrupted() -> None:
    settings = (*CHAT, "train.steps=6", "lora.rank=4", "preferences.validation_fraction=0.3")
    run_training(recipe(*settings), Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe(*settings), Path("cut"), progress=Stop(5))
    torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe(*settings), Path("cut"), resume=True)
    for name in ("models/reward/model.safetensors", "model.safetensors", "lora.safetensors"):
        assert (Path("whole") / name).read_bytes() == (Path("cut") / name).read_bytes()
    found = read_record(RewardModelResult, Path("whole/reward-model-results.json"))
    assert found.accuracy.share == 1.0 and found.brier < 0.25
    assert found.shorter is not None and found.longer is None

    rewarding = load_reward_model("whole")
    llm = open_local("chatty")
    problem = Problem("a", "99?", "")
    ids = [(*llm.tokenizer.encode(text), *llm.stop_ids) for text in ("yes", "no no", "yes")]
    whole, cut = Node(None, "answer", "", finish="stop"), Node(None, "text", "", finish="length")
    chains = [[replace(whole, token_ids=one)] for one in (*ids, ())]
    chains.append([replace(cut, token_ids=ids[0])])
    [trace] = rewarding.judge(llm, [problem], [Trace.of_chains("a", chains)])
    scores = [completion.nodes[-1].scores[REWARD] for completion in trace.completions]
    assert scores[0] == scores[2] > scores[1] == scores[3] == scores[4]  # the lowest of all
    assert trace.cost.judged_tokens == len(ids[0]) + len(ids[1])
    # Chains are scored alone: among others the scores are the same.
    [again] = rewarding.judge(llm, [problem], [Trace.of_chains("a", chains[:1])])
    assert again.completions[0].nodes[-1].scores[REWARD] == pytest.approx(scores[0], abs=1e-5)
    with pytest.raises(UserError, match="has another tokenizer than start"):
        rewarding.judge(LocalLLM.of_run(load("start"), "start"), [problem], [trace])


def test_chains_are_scored_by_eval(capsys: pytest.CaptureFixture[str]) -> None:
    run_training(recipe("options.train=head", "train.row_tokens=192"), Path("run"))
    said = command_line.product(
        *(capsys, "eval", "--task", "validation", "--model", "start", "--limit", "3"),
        *("--method", "single-sample", "--samples", "2", "--max-tokens", "6", "--json"),
        *("--reward-model", "run", "--no-cache"),
    )
    [row] = json.loads(said)["rewards"]
    assert (row["reward"], row["n"], row["samples"]) == ("reward-model", 3, 2)
    said = command_line.complaint(capsys, "ask", "--model", "run", "1+1?")
    assert "run is a reward model" in said
    scored = ("eval", "--task", "validation", "--reward", "reward-model", "--model", "start")
    assert "by --reward-model" in command_line.complaint(capsys, *scored)
    # It can be the judge of pairs that a policy samples.
    judged = ("preferences.reward=reward-model", "preferences.reward_model=run")
    small = ("sampling.samples=4", "sampling.max_new_tokens=8", "options.questions=4")
    online = [*SMALL, *judged, *small, "objective=online_dpo", "train.steps=1"]
    online += ["train.row_tokens=192", "sampling.temperature=3"]
    run_training(apply_overrides(read_recipe("preference"), online), Path("online"))
    [row] = map(json.loads, Path("online/metrics.jsonl").read_text("utf-8").splitlines())
    assert row["reward"] == row["reward_reward-model"] and row["informative"] > 0
    with pytest.raises(UserError, match="not a run with a finished reward model"):
        load_reward_model("start")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("options.train=head", "lora.rank=2"), "set options.train to"),
        (("options.layers=17",), "layers must be from 0 to 16"),
        (("options.centre=-1",), "centre must lie"),
        (("options.loss=dpo",), "loss"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()
