"""What a file asks for is checked before anything of that size is made, and so are its numbers."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bounded_memory import at_most
from gguf_files import random_model, small
from safetensors.torch import load_file, save_file

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.interop.gguf import load_gguf
from glassmind.interop.gguf.save import save_gguf
from glassmind.interop.huggingface import save_folder
from glassmind.interop.llama2c import load_llama2c
from glassmind.interop.load import load_pretrained
from glassmind.interop.peft import Adapter, apply_adapter, load_adapter, save_adapter
from glassmind.interop.pretrained import Pretrained
from glassmind.model import RopeScaling, Transformer
from glassmind.model.positions import rope_frequencies, rope_gain, rope_table, sinusoidal_table


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a model, be it an empty one, is an error of the test."""

    def build(*_: object) -> None:
        raise AssertionError("a model was built before the file was found out")

    monkeypatch.setattr(Transformer, "__init__", build)


def of_a_billion(layers: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = data.index(layers) + len(layers) + 4  # the type of the value stands before it
        return data[:at] + struct.pack("<I", 500_000_000) + data[at + 4 :]

    return change


@pytest.mark.parametrize("preset", ["llama3", "gemma3", "qwen3"])
def test_a_gguf_of_half_a_billion_layers(
    preset: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "a.gguf"
    save_gguf(random_model(small(preset)), path, "f32")
    path.write_bytes(of_a_billion(b".block_count")(path.read_bytes()))
    request.getfixturevalue("no_model")
    with at_most(100), pytest.raises(UserError, match="n_layers = 500000000; 1000 are the limit"):
        load_pretrained(path)


def test_a_checkpoint_of_llama2c_with_ten_thousand_layers(tmp_path: Path, no_model: None) -> None:
    path = tmp_path / "model.bin"
    sizes = (2, 1, 10_000, 1, 1, 3, 4)
    numbers = 3 * 2 + 10_000 * (2 + 4 * 4 + 2 + 3 * 2) + 2 + 2 * 4
    path.write_bytes(struct.pack("<7i", *sizes) + bytes(4 * numbers))
    with pytest.raises(UserError, match="n_layers = 10000; 1000 are the limit"):
        load_llama2c(path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("num_hidden_layers", 1_200, "n_layers = 1200; 1000 are the limit"),
        ("max_position_embeddings", 80_000_000, "a context of 80000000 tokens"),
    ],
)
def test_a_folder_whose_config_asks_for_much(
    field: str, value: int, said: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save_folder(random_model(small("llama3")), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {field: value}), "utf-8")
    # As many tensors as layers, so that their number alone refuses nothing.
    weights = tmp_path / "model" / "model.safetensors"
    tensors = {f"x.{n}": torch.zeros(8) for n in range(1_200)}
    save_file({**load_file(weights), **tensors}, weights)
    request.getfixturevalue("no_model")
    with at_most(200), pytest.raises(UserError, match=said):
        load_pretrained(tmp_path / "model")


def test_tables_of_a_long_context_take_little_more_than_themselves() -> None:
    tokens, width = 1 << 19, 32  # 2 * 32 MiB
    with at_most(160):
        cos, sin = rope_table(tokens, width, 1e4)
    assert cos.shape == sin.shape == (tokens, width // 2)
    with at_most(160):
        assert sinusoidal_table(tokens, width).shape == (tokens, width)


@pytest.mark.parametrize("kind", ["none", "yarn"])
def test_tables_made_in_pieces_are_the_same_bits(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassmind.model.positions._POSITIONS_AT_ONCE", 37)
    scaling = RopeScaling("yarn", 4.0, 128) if kind == "yarn" else RopeScaling()
    angle = torch.arange(500).double()[:, None] * rope_frequencies(16, 1e4, scaling)
    cos, sin = rope_table(500, 16, 1e4, scaling)
    assert torch.equal(cos, (angle.cos() * rope_gain(scaling)).float())
    assert torch.equal(sin, (angle.sin() * rope_gain(scaling)).float())
    angle = torch.arange(500).double()[:, None] * 1e4 ** -(torch.arange(8).double() / 8)
    expected = torch.cat((angle.sin(), angle.cos()), dim=-1).float()
    assert torch.equal(sinusoidal_table(500, 16), expected)


# ------------------------------------------------------------------------- numbers that are none


def broken(value: float) -> Pretrained:
    made = random_model(small("llama3"))
    with torch.no_grad():
        made.model.get_parameter("blocks.1.feed_forward.up.weight")[3, 5] = value
    return made


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["folder", "gguf"])
def test_weights_that_are_no_numbers_are_refused(value: float, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    if kind == "folder":
        save_folder(broken(value), path)
    else:
        save_gguf(broken(value), path, "f32")
    with pytest.raises(UserError, match=r"blocks\.1\.feed_forward\.up\.weight holds a number"):
        load_pretrained(path)


def test_numbers_that_are_large_are_loaded_where_they_fit(tmp_path: Path) -> None:
    save_folder(broken(1e30), tmp_path / "model")
    loaded = load_pretrained(tmp_path / "model")
    assert loaded.model.get_parameter("blocks.1.feed_forward.up.weight")[3, 5] == 1e30
    with pytest.raises(UserError, match=r"too large for torch\.float16"):
        load_pretrained(tmp_path / "model", torch.float16)


def test_an_adapter_that_is_no_number_is_refused(tmp_path: Path) -> None:
    model = random_model(small("llama3")).model
    a, b = torch.ones(2, 64), torch.ones(64, 2)
    b[0, 0] = math.nan
    adapter = Adapter({"blocks.0.attention.output": (a, b)}, 2, 4.0)
    save_adapter(adapter, model, tmp_path / "adapter", base="elsewhere")
    with pytest.raises(UserError, match=r"lora_B.* holds a weight that is not a number"):
        apply_adapter(model, load_adapter(tmp_path / "adapter", model))


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.bin"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    if name.endswith(".safetensors"):
        save_folder(random_model(small("llama3")), tmp_path / "model")
        (tmp_path / "model" / name).unlink()
        index = {"weight_map": {"model.norm.weight": "a.safetensors"}}
        write_json(tmp_path / "model" / "model.safetensors.index.json", index)
        os.mkfifo(tmp_path / "model" / "a.safetensors")
        path = tmp_path / "model"
    else:
        path = tmp_path / name
        os.mkfifo(path)
    load = {".gguf": load_gguf, ".bin": load_llama2c}.get(path.suffix, load_pretrained)
    with pytest.raises(UserError, match=r"pipe|not a file"):
        load(path)
