"""Checkpoints of llama2.c: read as Llama models, held against transformers' Llama."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.llama2c import is_llama2c, load_llama2c
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained

VOCAB, TOKENS = 40, 32
NO_CHANGES = (16, 24, 2, 4, 2, VOCAB, TOKENS)  # the seven sizes: 4 heads that share 2 keys


def reference(tied: bool) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=TOKENS,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tied,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) * 0.2
    return model


def export(model: Any, path: Path) -> None:
    """What ``legacy_export`` of llama2.c's export.py writes for this model."""
    config, weights = model.config, model.state_dict()
    tied = config.tie_word_embeddings
    n_layers, heads = config.num_hidden_layers, config.num_attention_heads

    def neighbours(weight: Tensor, n: int) -> Tensor:  # undoes ``permute_reverse``
        return weight.view(n, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)

    def layers(name: str, n_heads: int = 0) -> list[Tensor]:
        found = [weights[f"model.layers.{i}.{name}.weight"] for i in range(n_layers)]
        return [neighbours(weight, n_heads) for weight in found] if n_heads else found

    head_dim = config.hidden_size // heads
    frequencies = 10_000.0 ** -(torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(TOKENS), frequencies)
    tensors = [
        weights["model.embed_tokens.weight"],
        *layers("input_layernorm"),
        *layers("self_attn.q_proj", heads),
        *layers("self_attn.k_proj", config.num_key_value_heads),
        *layers("self_attn.v_proj"),
        *layers("self_attn.o_proj"),
        *layers("post_attention_layernorm"),
        *layers("mlp.gate_proj"),
        *layers("mlp.down_proj"),
        *layers("mlp.up_proj"),
        weights["model.norm.weight"],
        *(angles.cos(), angles.sin()),
        *([] if tied else [weights["lm_head.weight"]]),
    ]
    sizes = (*NO_CHANGES[:5], VOCAB if tied else -VOCAB, TOKENS)
    numbers = b"".join(tensor.float().numpy().tobytes() for tensor in tensors)
    path.write_bytes(struct.pack("<7i", *sizes) + numbers)


@pytest.mark.parametrize("tied", [True, False])
def test_the_same_logits(tied: bool, tmp_path: Path) -> None:
    theirs = reference(tied)
    export(theirs, tmp_path / "model.bin")
    ours = load_pretrained(tmp_path / "model.bin")  # found out by its length
    ids = torch.randint(VOCAB, (2, TOKENS))
    with torch.inference_mode():
        assert (ours.model(ids) - theirs(input_ids=ids).logits).abs().max() < 1e-4
    assert (ours.name, ours.tokenizer, ours.chat_template) == ("model", None, None)
    assert (ours.bos_id, ours.stop_ids) == (1, frozenset({1, 2}))
    assert ours.model.config.tie_embeddings == tied


def test_the_tokenizer_beside_it(data_folder: Path, tmp_path: Path) -> None:
    export(reference(True), tmp_path / "model.bin")
    model = data_folder / "tokenizers" / "llama2" / "tokenizer.model"
    (tmp_path / "tokenizer.model").symlink_to(model)
    tokenizer = load_llama2c(tmp_path / "model.bin").tokenizer
    assert tokenizer is not None
    assert tokenizer.encode("Once upon a time") == [9038, 2501, 263, 931]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("llama2c") / "model.bin"
    export(reference(False), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", "too short for seven sizes"),
        (lambda data: data[:-1], "ask for .* bytes, but it has"),
        (lambda data: data + b"\0", "ask for .* bytes, but it has"),
        (lambda data: struct.pack("<7i", 0, *NO_CHANGES[1:]) + data[28:], "its sizes would be"),
        (lambda data: struct.pack("<7i", *[2**31 - 1] * 7) + data[28:], "its sizes would be"),
        (lambda data: struct.pack("<7i", *[2**23] * 7) + data[28:], "ask for .* bytes"),
        (lambda data: struct.pack("<7i", 15, *NO_CHANGES[1:]) + data[28:], "do not divide"),
        (lambda data: struct.pack("<7i", 16, 24, 2, 4, 3, 40, 32) + data[28:], "do not divide"),
    ],
)
def test_what_is_wrong_is_said(change: Any, said: str, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(change(whole))
    with pytest.raises(UserError, match=said):
        load_llama2c(path)
    assert not is_llama2c(path)
    with pytest.raises(UserError, match="not a run, a GGUF file or a checkpoint"):
        load_pretrained(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_llama2c(tmp_path / "model.bin")
    with pytest.raises(UserError, match="is a folder"):
        load_llama2c(tmp_path)
    with pytest.raises(UserError, match=r"there is no model .* or one of smollm2"):
        load_pretrained(tmp_path / "model.bin")


@given(
    sizes=st.tuples(*(st.integers(-(2**31), 2**31 - 1) | st.integers(-48, 48) for _ in range(7))),
    n_bytes=st.integers(0, 20_000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sizes_are_a_model_or_a_user_error(
    sizes: tuple[int, ...], n_bytes: int, tmp_path: Path
) -> None:
    (tmp_path / "any.bin").write_bytes(struct.pack("<7i", *sizes) + bytes(n_bytes))
    try:
        assert isinstance(load_llama2c(tmp_path / "any.bin"), Pretrained)
    except UserError as error:
        assert "\n" not in str(error)
