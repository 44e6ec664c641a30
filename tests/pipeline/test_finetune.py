"""Fine-tuning through the command line: from a small run to one that chats, sorts, or goes on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import command_line
import numpy as np
import peft
import pytest
import torch
import transformers
from interrupt import Stop
from untrained_runs import TEXTS, untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.data.batches.loader import Rows
from glassmind.data.batches.packing import stream
from glassmind.data.labelled import problem_texts
from glassmind.interop.load import load_pretrained
from glassmind.model import AttentionConfig, ModelConfig
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.training import run_training
from glassmind.pipeline.tunings import pretrain
from glassmind.pipeline.tunings.classify import classify, load_classifier
from glassmind.runs.checkpoint import load_tensors
from glassmind.runs.models import load
from glassmind.runs.recipe import read_recipe
from glassmind.tokenize.special import END

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

pytestmark = pytest.mark.usefixtures("scratch")
SMALL = (
    *("train.steps=6", "train.batch_rows=2", "train.row_tokens=96", "train.precision=float32"),
    *("train.log_every=1", "train.checkpoint_minutes=0", "train.compile=off"),
    "train.warmup=1",
    *("problems.train=24", "problems.validation=8", "problems.test=8", "lora.rank=2"),
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "start"
    model = ModelConfig(
        300, max_tokens=192, d_model=16, n_layers=2, attention=AttentionConfig(n_heads=2)
    )
    untrained_run(folder, "chain-of-thought", model)
    return folder


def options(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def train(capsys: pytest.CaptureFixture[str], recipe: str, *settings: str) -> Path:
    command_line.product(capsys, "train", recipe, "--run", "tuned", *options(*SMALL, *settings))
    return Path("tuned")


# ------------------------------------------------------------------------------------- chats


@pytest.mark.parametrize("base", ["float", "nf4"])
def test_a_tuned_chat_can_be_asked_and_converted(
    capsys: pytest.CaptureFixture[str], start: Path, base: str
) -> None:
    run = train(capsys, "instruct", f"start={start}", f"lora.base={base}", "train.adamw_lr=0.05")
    losses = json.loads((run / "validation.json").read_text("utf-8"))
    assert losses["validation_loss"] < losses["before"]
    assert not (run / "checkpoints" / "chat").exists()
    said = command_line.product(capsys, "ask", "--model", str(run), TEXTS[0], "--max-tokens", "3")
    assert TEXTS[0] in said

    command_line.product(capsys, "convert", str(run), "adapter", "--to", "peft")
    command_line.product(capsys, "convert", str(start), "base")
    command_line.product(capsys, "convert", str(run), "merged")
    ids = torch.randint(300, (2, 30))
    with torch.no_grad():
        merged = transformers.AutoModelForCausalLM.from_pretrained("merged", dtype=torch.float32)
        ours = load_pretrained(run).model(ids)
        assert torch.allclose(merged.eval()(input_ids=ids).logits, ours, atol=1e-4)
        if base == "float":
            theirs = transformers.AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32)
            theirs = peft.PeftModel.from_pretrained(theirs, "adapter").eval()
            assert torch.allclose(theirs(input_ids=ids).logits, ours, atol=1e-5 * ours.abs().max())
            command_line.product(capsys, "convert", "base", "again", "--adapter", "adapter")
            again = load_pretrained("again").model(ids)
            assert torch.allclose(again, ours, atol=1e-5 * ours.abs().max())


@pytest.mark.parametrize("at", [1, 4, 6])
def test_an_interrupted_tuning_ends_like_one_that_was_not(start: Path, at: int) -> None:
    recipe = apply_overrides(
        read_recipe("instruct"), [*SMALL, f"start={start}", "lora.dropout=0.2"]
    )
    run_training(recipe, Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, Path("cut"), progress=Stop(at))
    torch.rand(3)  # a new process has drawn other numbers
    run_training(recipe, Path("cut"), resume=True)
    for name in ("model.safetensors", "lora.safetensors", "validation.json"):
        assert (Path("whole") / name).read_bytes() == (Path("cut") / name).read_bytes()
    run_training(recipe, Path("cut"), resume=True)  # finished: nothing happens


def test_conversations_of_a_file_and_frozen_layers(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "1"}]}
        for n in range(40)
    ]
    Path("chats.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    run = train(
        capsys,
        "instruct",
        f"start={start}",
        "chats.file=chats.jsonl",
        "lora.rank=0",
        "finetune.freeze=embed,blocks.0,blocks.*.attention",
    )
    before = load_tensors(start / "models" / "chain-of-thought" / "model.safetensors")
    after = dict(load_pretrained(run).model.named_parameters())
    moved = {name for name, weight in before.items() if not torch.equal(after[name], weight)}
    assert moved
    assert all(
        not name.startswith(("embed", "blocks.0")) and ".attention." not in name for name in moved
    )
    # What was tuned can be the start of more.
    command_line.product(
        capsys, "train", "instruct", "--run", "more", *options(*SMALL, "start=tuned")
    )


def test_a_model_from_elsewhere_keeps_its_own_template(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    command_line.product(capsys, "convert", str(start), "theirs")
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        Path("theirs", name).unlink()
    said = command_line.complaint(
        capsys, "train", "instruct", *options(*SMALL, "start=theirs"), "--run", "x"
    )
    assert "theirs has no chat template" in said
    Path("mine.jinja").write_text(
        "{% for m in messages %}<|question|>{{ m['content'] }}<|end|>{% endfor %}", "utf-8"
    )
    run = train(capsys, "instruct", "start=theirs", "chats.template=mine.jinja")
    assert (run / "chat_template.jinja").read_text("utf-8") == Path("mine.jinja").read_text("utf-8")


# ------------------------------------------------------------------------------ classification


@pytest.mark.parametrize("part", ["head", "last-block", "all", "lora"])
def test_a_classifier_learns_what_is_easy(
    capsys: pytest.CaptureFixture[str], start: Path, part: str
) -> None:
    rows = [f"the answer to {n} is {'yes' if n % 3 else 'no'},{n % 3 > 0}" for n in range(240)]
    Path("rows.csv").write_text("text,label\n" + "\n".join(rows), "utf-8")
    rank = 2 if part == "lora" else 0
    run = train(
        capsys,
        "classify",
        *(f"start={start}", "classify.file=rows.csv", f"classify.train={part}"),
        *(f"lora.rank={rank}", "train.steps=30", "train.adamw_lr=0.05", "train.batch_rows=8"),
    )
    result = json.loads((run / "classification.json").read_text("utf-8"))
    assert result["labels"] == ["False", "True"]
    assert result["majority"]["label"] == "True"
    n = result["test"]["n"]
    assert sum(map(sum, result["confusion"])) == n
    right = sum(result["confusion"][k][k] for k in range(2))
    assert result["test"]["accuracy"] == right / n == 1.0
    assert result["test"]["low"] < 1.0

    loaded = load_classifier(run)
    (found,) = classify(["the answer to 999 is no"], loaded)
    assert found.label == "False"
    assert sum(found.probabilities.values()) == pytest.approx(1)
    said = command_line.product(
        capsys, "classify", "--model", str(run), "the answer to 5 is yes", "--json"
    )
    assert json.loads(said)["label"] == "True"
    Path("texts").write_text("the answer to 5 is yes\n\nthe answer to 6 is no\n", "utf-8")
    lines = command_line.product(capsys, "classify", "--model", str(run), "--file", "texts")
    assert [line.split("\t")[0] for line in lines.splitlines()] == ["True", "False"]


def test_a_classifier_can_keep_its_best_weights(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    best = ("train.weights=best", "train.validate_every=1", "train.adamw_lr=0.5")
    run = train(capsys, "classify", f"start={start}", "classify.train=head", "lora.rank=0", *best)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    measured = {row["step"]: row["validation_loss"] for row in metrics if "validation_loss" in row}
    assert list(measured) == [1, 2, 3, 4, 5, 6]
    chosen = min(measured, key=lambda step: measured[step])
    assert chosen < 6  # with so high a learning rate the last is not the best
    loaded = load_classifier(run)
    problems = make_slices(read_recipe(str(run))).validation
    texts = problem_texts(problems, read_recipe(str(run)).classify.task)
    found = classify([row.text for row in texts], loaded)
    pairs = zip(texts, found, strict=True)
    nats = [-math.log(one.probabilities[row.label]) for row, one in pairs]
    assert sum(nats) / len(nats) == pytest.approx(measured[chosen], rel=1e-3)


def test_a_trunk_that_was_not_to_learn_has_not(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    run = train(capsys, "classify", f"start={start}", "classify.train=head", "lora.rank=0")
    before = load_tensors(start / "models" / "chain-of-thought" / "model.safetensors")
    after = dict(load_pretrained(run).model.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


# ---------------------------------------------------------------------------------- going on


def test_a_model_of_our_own_goes_on_as_what_it_is(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    Path("sft.toml").write_text(f'start = "{start}"\n', "utf-8")
    run = train(capsys, "sft.toml", "train.row_tokens=192", "problems.dial.max_steps=2")
    assert load(run).stage == "chain-of-thought"
    assert load(run).recipe.model == load(start).model.config
    command_line.product(capsys, "convert", str(run), "adapter", "--to", "peft")
    Path("book.txt").write_text("A line of text.\n" * 300, "utf-8")
    again = options(*SMALL, "lora.rank=0", f"start={start}", "pretrain.file=book.txt")
    command_line.product(capsys, "train", "text", "--run", "read", *again)
    assert load("read").stage == "pretrain"
    command_line.product(capsys, "convert", str(start), "theirs")
    again = options(*SMALL, "lora.rank=0", "start=theirs", "pretrain.file=book.txt")
    command_line.product(capsys, "train", "text", "--run", "read-theirs", *again)
    assert load_pretrained("read-theirs").tokenizer is not None


@pytest.mark.parametrize("where", ["our own", "elsewhere"])
def test_more_text_is_streamed_filtered_and_kept_as_tokens(
    capsys: pytest.CaptureFixture[str],
    start: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The plain way beside it: encode each document, an end token between two, cut into rows."""
    seen: list[Rows] = []
    measure = pretrain.train_and_measure

    def remember(tuning: Any, objective: Any, rows: Rows, *rest: Any, **options: Any) -> None:
        seen.append(rows)
        measure(tuning, objective, rows, *rest, **options)

    monkeypatch.setattr(pretrain, "train_and_measure", remember)
    source, tokenizer = str(start), load(start).tokenizer
    if where == "elsewhere":
        command_line.product(capsys, "convert", source, "theirs")
        source = "theirs"
    stories = [f"{name} has {n} pencils. " * 9 for n, name in enumerate(("Mia", "Tom", "Ada"))]
    lines = [json.dumps({"body": story}) for story in (*stories, stories[0].upper())]
    Path("web.jsonl").write_text("\n".join(lines), "utf-8")
    Path("held.txt").write_text(stories[1] * 2, "utf-8")
    argv = [
        *("train", "text", "--run", "read"),
        *options(*SMALL, "lora.rank=0", "train.row_tokens=48", f"start={source}"),
        *options("pretrain.file=web.jsonl", "pretrain.field=body", "pretrain.document_mask=true"),
        *options("pretrain.validation_file=held.txt", "pretrain.filter.near_duplicates=0.8"),
    ]
    command_line.product(capsys, *argv)
    ids: list[int] = []
    for story in stories:
        ids += [tokenizer.special[END]] * bool(ids) + tokenizer.encode(story)
    rows = seen[0].take(slice(None))
    np.testing.assert_array_equal(rows.ids, stream(np.array(ids, np.int32), 48).ids)
    assert rows.documents.max() == 2
    report = json.loads(Path("read", "data-report.json").read_text("utf-8"))
    assert report["near_duplicates"]["documents"] == 1
    n = len(tokenizer.encode(stories[1] * 2)) // 48
    assert json.loads(Path("read", "validation.json").read_text("utf-8"))["n"] == n
    for name in ("web.jsonl", "held.txt"):
        Path(name).unlink()
    command_line.product(capsys, *argv, "--resume")  # finished: the text is no longer needed


def test_a_text_that_cannot_be_used_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    Path("line.txt").write_text("To be.", "utf-8")
    argv = options(*SMALL, "lora.rank=0", f"start={start}", "pretrain.file=line.txt")
    said = command_line.complaint(capsys, "train", "text", "--run", "read", *argv)
    assert "has only 6 characters to train on" in said
    assert not Path("read").exists()


# ----------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("instruct", ["start="], "lora.rank is for a finished model to start from"),
        ("classify", ["start=", "lora.rank=0"], "objective 'classify' needs a finished model"),
        ("instruct", ["start=nowhere"], "there is no model nowhere"),
        ("instruct", ["train.row_tokens=193"], "exceeds the context of"),
        ("instruct", ["train.row_tokens=8"], "none of the 24 conversations has an answer"),
        ("instruct", ["lora.rank=99"], "lora.rank 99 is more than"),
        ("instruct", ["lora.rank=-1"], "rank must be at least 0"),
        ("instruct", ["lora.targets=q_proj"], "'q_proj', and the model's blocks have no such"),
        ("instruct", ["finetune.freeze=head"], "finetune.freeze names 'head'"),
        ("instruct", ["finetune.freeze=*"], "leaves nothing to train"),
        ("instruct", ["chats.file=none.jsonl"], "cannot read none.jsonl"),
        ("instruct", ["chats.template=none"], "cannot read none"),
        ("classify", ["classify.file=none.csv", "lora.rank=0"], "cannot read none.csv"),
        ("classify", [], "belong together"),
        ("classify", ["problems.file=x", "lora.rank=0"], "give classify.file instead"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value else "",
)
def test_what_cannot_be_tuned_is_said(
    capsys: pytest.CaptureFixture[str], start: Path, recipe: str, settings: list[str], said: str
) -> None:
    argv = options(*SMALL, f"start={start}", *settings)
    assert said in command_line.complaint(capsys, "train", recipe, "--run", "x", *argv)


def test_verbs_refuse_what_is_no_adapter_and_no_classifier(
    capsys: pytest.CaptureFixture[str], start: Path
) -> None:
    path = str(start)
    said = command_line.complaint(capsys, "convert", path, "out", "--to", "peft")
    assert "holds no adapter" in said
    said = command_line.complaint(capsys, "convert", path, "out", "--adapter", path)
    assert "adapter_config.json is missing" in said
    said = command_line.complaint(capsys, "classify", "--model", path, "text")
    assert "is not a run with a finished classifier" in said
    assert "give either" in command_line.complaint(capsys, "classify", "--model", path)
