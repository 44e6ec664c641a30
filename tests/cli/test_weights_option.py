"""``--weights`` and ``--cache`` of ``chat`` and ``serve``: smaller numbers under the same model."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from command_line import complaint, product
from tiny_servers import pretrained

from glassmind.generate import PackedModel
from glassmind.generate.packed.native import library
from glassmind.interop.gguf import save_gguf
from glassmind.llm.opening import open_local


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    save_gguf(pretrained(), path)
    return str(path)


def test_every_kind_answers_and_the_default_is_float32(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*how: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\n"))
        return product(capsys, "chat", model, *how, "--temperature", "0", "--max-tokens", "20")

    exact = answer()
    assert exact == answer("--weights", "float32", "--cache", "float32") != ""
    for weights in ("bfloat16", "int8", "int4"):
        assert answer("--weights", weights, "--cache", "int8")


def test_the_options_reach_the_engine(model: str) -> None:
    served = open_local(model)
    engine = served.engine(
        max_rows=2, max_cache_bytes=1 << 20, weights="int8", cache_dtype=torch.int8
    )
    assert engine.scheduler.caches[0].layers[0].keys.dtype == torch.int8
    if library() is not None:
        assert isinstance(engine.model, PackedModel)
        assert engine.model.weights == "int8"


@pytest.mark.parametrize("verb", ["chat", "serve"])
@pytest.mark.parametrize("option", ["--weights", "--cache"])
def test_an_unknown_kind_is_refused(
    verb: str, option: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint(capsys, verb, model, option, "int3")
    assert "int3" in said
    assert "bfloat16" in said
