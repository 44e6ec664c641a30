"""``glassmind convert``: our own runs and other people's models, there and back, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
import torch
import transformers
from untrained_runs import TEXTS, untrained_run

from glassmind.interop.load import load_pretrained
from glassmind.llm.llm import FREE_TEXT_SAMPLING
from glassmind.model import FeedForwardConfig, ModelConfig
from glassmind.model.config import FeedForwardKind
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.runs.models import load
from glassmind.tokenize import encode_prompt
from glassmind.tokenize.special import END, PAD, SPECIAL_IDS

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

IDS = torch.tensor([[5, 9, 2, 61, 3, 3, 17, 40]])


pytestmark = pytest.mark.usefixtures("scratch")


def make_run(name: str, feed_forward: FeedForwardKind) -> None:
    model = ModelConfig(
        280, max_tokens=64, d_model=32, n_layers=2, feed_forward=FeedForwardConfig(feed_forward)
    )
    untrained_run(Path(name), "pretrain", model)


def product(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    return command_line.product(capsys, "convert", *argv)


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    before = sorted(Path().rglob("*"))
    said = command_line.complaint(capsys, "convert", *argv)
    assert sorted(Path().rglob("*")) == before  # nothing half-written is left
    return said


def logits(path: str) -> torch.Tensor:
    with torch.no_grad():
        return load_pretrained(path).model(IDS)


def test_a_run_of_our_own_and_on_to_everything(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run", "swiglu")
    loaded = load("run")
    with torch.no_grad():
        expected = loaded.model(IDS)
    assert product(capsys, "run", "folder") == "folder\n"
    told = json.loads(product(capsys, "folder", "it.gguf", "--json"))
    assert (told["to"], told["dtype"], told["family"]) == ("gguf", "float32", None)
    assert told["n_parameters"] == sum(p.numel() for p in loaded.model.parameters())
    assert told["n_bytes"] == Path("it.gguf").stat().st_size
    told = json.loads(product(capsys, "it.gguf", "again", "--family", "qwen3", "--json"))
    assert (told["to"], told["family"]) == ("hf", "qwen3")
    assert product(capsys, "run", "half", "--to", "gguf", "--dtype", "q8_0") == "half\n"
    for path in ("folder", "it.gguf"):
        assert (logits(path) - expected).abs().max() < 1e-5
    assert 0 < (logits("half") - expected).abs().max() < 1
    for path in ("folder", "it.gguf"):
        assert load_pretrained(path).stop_ids == {SPECIAL_IDS[END]}

    theirs = transformers.AutoModelForCausalLM.from_pretrained("folder").eval()
    with torch.no_grad():
        assert (theirs(IDS).logits - expected).abs().max() < 1e-4
    for folder in ("folder", "again"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        assert tokenizer(TEXTS[0]).input_ids == loaded.tokenizer.encode(TEXTS[0])
        assert tokenizer.eos_token == END
    assert transformers.AutoTokenizer.from_pretrained("folder").pad_token == PAD


def test_a_run_in_half_precision(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run", "swiglu")
    product(capsys, "run", "half", "--dtype", "bfloat16")
    exact = load("run").model.to(torch.bfloat16)
    half = load_pretrained("half", torch.bfloat16).model
    with torch.no_grad():
        assert torch.equal(half(IDS), exact(IDS))


def test_what_a_format_cannot_express(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run", "gelu")
    assert "gelu" in complaint(capsys, "run", "it.gguf")
    make_run("gated", "swiglu")
    assert "attention.qk_norm" in complaint(capsys, "gated", "folder", "--family", "llama")


def test_the_model_that_comes_with_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    product(capsys, "word-problems", "it.gguf")
    product(capsys, "it.gguf", "folder")
    loaded = load()
    with torch.no_grad():
        expected = loaded.model(IDS)
        assert (logits("folder") - expected).abs().max() < 1e-5
        theirs = transformers.AutoModelForCausalLM.from_pretrained("folder").eval()
        assert (theirs(IDS).logits - expected).abs().max() < 1e-4
    for path in ("folder", "it.gguf"):
        again = load_pretrained(path)
        assert again.tokenizer is not None
        assert again.tokenizer.encode(TEXTS[0]) == loaded.tokenizer.encode(TEXTS[0])
        # It is asked in its own format, and its steps are lines.
        in_words = replace(FREE_TEXT_SAMPLING, temperature=0.0, max_new_tokens=64)
        chat = ask(TEXTS[0], again, sampling=in_words)
        greedy = ask(
            TEXTS[0], loaded, sampling=replace(loaded.recipe.sampling, temperature=0.0, samples=1)
        )
        assert isinstance(greedy, Answer) and isinstance(chat, Answer)
        (chain,) = greedy.chains
        assert chat.replies == ("\n".join([*chain.steps, str(chain.answer)]),)
        assert chat.text == chain.answer
    theirs_tokenizer = transformers.AutoTokenizer.from_pretrained("folder")
    prompt = theirs_tokenizer.apply_chat_template(
        [{"role": "user", "content": TEXTS[0]}], return_dict=False
    )
    assert prompt == encode_prompt(loaded.tokenizer, TEXTS[0], "chain")


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run", "swiglu")
    product(capsys, "run", "folder")
    assert "there is no model nothing" in complaint(capsys, "nothing", "x")
    assert "folder exists already" in complaint(capsys, "run", "folder")
    assert "q8_0 is for GGUF" in complaint(capsys, "run", "x", "--dtype", "q8_0")
    assert "is not a family" in complaint(capsys, "run", "x", "--family", "lama")
    assert "not for a GGUF" in complaint(capsys, "run", "x.gguf", "--family", "llama")
    assert "it is one of: hf, gguf, peft" in complaint(capsys, "run", "x", "--to", "onnx")
    Path("file").write_text("not a model")
    assert "not a run, a GGUF" in complaint(capsys, "file", "x")


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "pytorch_model.ckpt"])
def test_pickles_are_refused_with_the_way_out(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"weight": torch.zeros(3)}, name)
    error = complaint(capsys, name, "x")
    assert "pickle" in error and "save_pretrained" in error


def test_a_folder_with_nothing_but_a_pickle(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("run", "swiglu")
    product(capsys, "run", "folder")
    Path("folder/model.safetensors").rename("folder/pytorch_model.bin")
    error = complaint(capsys, "folder", "x")
    assert "folder/pytorch_model.bin is a pickle" in error
