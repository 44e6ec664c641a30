"""Runs that learn from a teacher: every loss, interrupted or not, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from interrupt import Stop
from reward_runs import logged
from tiny_servers import pretrained
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.interop.huggingface import save_folder
from glassmind.interop.load import load_pretrained
from glassmind.llm import LocalLLM
from glassmind.model import AttentionConfig, ModelConfig
from glassmind.pipeline.opened_model import open_model
from glassmind.pipeline.training import run_training
from glassmind.pipeline.tunings.distill import require_same_tokens
from glassmind.records import Completion
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.tokenize import train_bpe

SMALL = (
    *("train.steps=4", "train.row_tokens=160", "train.precision=float32", "train.log_every=1"),
    *("train.checkpoint_minutes=60", "train.warmup=1", "train.muon_lr=0.02", "train.adamw_lr=0.01"),
    *("train.batch_rows=2", "problems.train=12", "problems.validation=4", "problems.test=8"),
    *("sampling.max_new_tokens=8", "options.questions=6", "options.teacher=teacher"),
    *("options.only_right=false", "options.drawn=2", "model.d_model=16", "model.n_layers=1"),
    *("model.attention.n_heads=2", "model.attention.n_kv_heads=0", "model.max_tokens=160"),
    "train.validate_every=2",
)
ATTENTION = AttentionConfig(n_heads=2)
TEACHER = ModelConfig(300, max_tokens=192, d_model=24, n_layers=2, attention=ATTENTION)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: a run, a smaller one, one of another style, and one from elsewhere."""
    folder = tmp_path_factory.mktemp("models")
    untrained_run(folder / "teacher", "chain-of-thought", TEACHER)
    small = replace(TEACHER, d_model=16, n_layers=1)
    untrained_run(folder / "small", "chain-of-thought", small)
    untrained_run(folder / "direct", "direct", small)
    save_folder(pretrained(), folder / "hf")
    return folder


@pytest.fixture(autouse=True)
def place(scratch: Path, made: Path) -> None:
    for model in made.iterdir():
        (scratch / model.name).symlink_to(model)


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("distill"), [*SMALL, *settings])


def test_an_interrupted_run_ends_like_one_that_was_not() -> None:
    settings = ("options.loss=jsd", "options.on_policy=0.5", "train.checkpoint_minutes=0")
    run_training(recipe(*settings), Path("whole"))
    for at in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run_training(recipe(*settings), Path("cut"), resume=at > 1, progress=Stop(at))
        torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe(*settings), Path("cut"), resume=True)
    model = "models/chain-of-thought/model.safetensors"
    assert (Path("whole") / model).read_bytes() == (Path("cut") / model).read_bytes()
    for name in ("loss", "agreement", "validation_loss"):
        assert logged("whole", name) == logged("cut", name)
    assert len(logged("cut", "loss")) == 4
    assert read_recipe("whole").options["beta"] == 0.5  # written out


def test_the_policy_gradient_learns_from_the_student_alone() -> None:
    settings = ("options.loss=policy-gradient", "options.on_policy=1", "train.steps=2")
    run = run_training(recipe(*settings), Path("run"))
    assert len(logged("run", "loss")) == 2
    assert not (run.path / "samples").exists()  # the teacher wrote nothing
    assert not logged("run", "validation_loss")


@pytest.mark.parametrize("loss", ["text", "forward-kl"])
def test_a_new_student_comes_closer_to_its_teacher(loss: str) -> None:
    settings = (f"options.loss={loss}", "train.steps=8", "options.chains=solutions")
    run = run_training(recipe(*settings), Path("run"))
    losses = logged("run", "validation_loss")
    assert losses[-1] < losses[0]
    student = load("run")
    assert student.model.config.d_model == 16
    assert LocalLLM.of_run(student, "run").style == "chain"
    assert run.recipe().model == student.model.config


def test_a_student_may_be_a_run_with_another_shape() -> None:
    run_training(recipe("start=small", "train.steps=1", "lora.rank=2"), Path("run"))
    assert load("run").model.config.n_layers == 1
    assert (Path("run") / "lora.safetensors").is_file()


def test_a_model_from_elsewhere_teaches_one_of_its_own_tokenizer() -> None:
    settings = ("options.teacher=hf", "start=hf", "train.steps=2", "train.row_tokens=128")
    run_training(recipe(*settings, "train.muon_lr=0.01"), Path("run"))
    # It learns nothing from itself: the first loss is 0, up to rounding.
    assert abs(logged("run", "loss")[0]) < 1e-5
    assert logged("run", "agreement")[0] == 1
    assert load_pretrained("run").model.config == load_pretrained("hf").model.config


def test_a_new_student_of_a_model_from_elsewhere_must_be_expressible() -> None:
    settings = ("options.teacher=hf", "train.steps=1", "train.row_tokens=128")
    with pytest.raises(UserError, match="positions"):
        run_training(recipe(*settings, "model.positions.kind=sinusoidal"), Path("run"))
    assert not Path("run").exists()
    run_training(recipe(*settings), Path("run"))
    assert load_pretrained("run").model.config.d_model == 16


def test_padded_vocabularies_share_their_tokens() -> None:
    llm = open_model("hf").llm
    config = llm.model.config
    n = llm.tokenizer.vocab_size
    padded = replace(config, vocab_size=config.vocab_size + 5)
    wider = replace(llm, model=type(llm.model)(padded))
    assert require_same_tokens(llm, wider) == require_same_tokens(wider, llm) == n


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("options.loss=hinge",), "loss"),
        (("options.beta=1",), "beta must lie between"),
        (("options.temperature=0",), "temperature must lie between"),
        (("options.on_policy=2",), "share of steps"),
        (("options.loss=text", "options.on_policy=0.5"), "on_policy must be 0"),
        (("options.loss=policy-gradient",), "on_policy must be 1"),
        (
            ("options.loss=policy-gradient", "options.on_policy=1", "sampling.temperature=0.8"),
            "set sampling.temperature to options.temperature",
        ),
        (
            ("options.loss=policy-gradient", "options.on_policy=1", "lora.dropout=0.1"),
            "lora.dropout would train another",
        ),
        (("options.teacher=nobody",), "nobody"),
        (("options.samples=0",), "samples must be 1"),
        (("sampling.max_new_tokens=160",), "row_tokens"),
        (("train.row_tokens=200", "model.max_tokens=200"), "exceeds the teacher's context"),
        (("lora.rank=2",), "finished model to start from"),
        (("start=other",), "their tokens differ"),
        (("start=direct",), "answers in the style 'direct'"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    settings: tuple[str, ...], sentence: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "start=other" in settings:
        texts = ["other words make other tokens, said the other one"]
        monkeypatch.setattr("untrained_runs.train_bpe", lambda _, size: train_bpe(texts, size))
        untrained_run(scratch / "other", "chain-of-thought", TEACHER)
    with pytest.raises(UserError, match=sentence):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()


def test_solutions_need_a_format_to_be_written_in() -> None:
    settings = ("options.teacher=hf", "start=hf", "options.chains=solutions")
    with pytest.raises(UserError, match="not made by Glassmind"):
        run_training(recipe(*settings), Path("run"))
    assert not Path("run").exists()


def test_without_a_right_chain_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Completion, "answer", None)
    with pytest.raises(UserError, match="none of the teacher's 6 chains is right"):
        run_training(recipe("options.only_right=true"), Path("run"))
