"""Every architecture that a GGUF can express: written, looked at with other eyes, read back.

The other eyes are the library of llama.cpp's authors, which unpacks what is in the file, and
``transformers``, which has its own tables of what the facts and tensors mean.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf_files import INEXPRESSIBLE, logits, random_model, small

from glassmind.errors import UserError
from glassmind.interop.canonical import differences
from glassmind.interop.gguf import Kind, load_gguf, save_gguf
from glassmind.interop.tokenizers import composed
from glassmind.model import PRESETS, ModelConfig, RopeScaling
from glassmind.tokenize import SPECIAL_TOKENS, CharTokenizer, train_bpe
from glassmind.tokenize.composed.tokenizer import TokenizerFacts

transformers.utils.logging.disable_progress_bar()

EXPRESSIBLE = [name for name in PRESETS if name not in INEXPRESSIBLE]
YARN = RopeScaling("yarn", factor=4.0, original_tokens=16)


def stretched(name: str, scaling: RopeScaling) -> ModelConfig:
    return replace(small(name), positions=replace(small(name).positions, scaling=scaling))


MODELS = {
    **{name: small(name) for name in EXPRESSIBLE},
    "llama2, tied": replace(small("llama2"), tie_embeddings=True),
    "llama2, linear": stretched("llama2", RopeScaling("linear", factor=4.0)),
    "llama2, yarn": stretched("llama2", YARN),
    "qwen2.5, untied": replace(small("qwen2.5"), tie_embeddings=False),
    "gemma3, linear": stretched("gemma3", RopeScaling("linear", factor=8.0)),
    "olmo2, tied": replace(small("olmo2"), tie_embeddings=True),
    "deepseek-v3, plain": stretched("deepseek-v3", RopeScaling()),
    "deepseek-v3, dense": replace(small("deepseek-v3"), experts=PRESETS["llama2"].experts),
}


def contents(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All tensors by name, unpacked by the library."""
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: np.array(gguf.dequantize(t.data, t.tensor_type)) for t in tensors}


def facts(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    config = MODELS[name]
    model = random_model(config).model
    save_gguf(random_model(config), tmp_path / "a.gguf", "f32")
    again = load_gguf(tmp_path / "a.gguf").model
    # Two architectures have their embedding written twice, for llama.cpp.
    twice = config.tie_embeddings and name.startswith(("olmo", "glassmind"))
    expected = replace(config, tie_embeddings=False) if twice else config
    assert differences(again.config, expected) == []
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize("name", MODELS)
def test_the_tensors_are_those_that_llama_cpp_knows(name: str, tmp_path: Path) -> None:
    save_gguf(random_model(MODELS[name]), tmp_path / "a.gguf", "f32")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    architecture = facts(tmp_path / "a.gguf")["general.architecture"]
    number = next(n for n, known in gguf.MODEL_ARCH_NAMES.items() if known == architecture)
    kinds = [gguf.TENSOR_NAMES[kind] for kind in gguf.MODEL_TENSORS[number]]
    known = {kind.format(bid=block) for kind in kinds for block in range(MODELS[name].n_layers)}
    names = {tensor.name.rpartition(".")[0] for tensor in reader.tensors}
    assert names <= known | {f"{kind}_exps" for kind in known}
    assert {tensor.tensor_type for tensor in reader.tensors} == {gguf.GGMLQuantizationType.F32}


def wide(name: str, head_dim: int) -> ModelConfig:
    return replace(small(name), attention=replace(small(name).attention, head_dim=head_dim))


# The architectures that transformers translates on its own. Facts that it does not read have the
# values that it takes for granted.
TRANSLATED = {
    **{name: MODELS[name] for name in ("llama2", "llama2, tied", "qwen2.5", "bloom")},
    "gpt2": replace(small("gpt2"), vocab_size=50_257, max_tokens=1024),
    "qwen3": wide("qwen3", 128),
    "qwen3-moe": replace(
        wide("qwen3-moe", 0), experts=replace(small("qwen3-moe").experts, d_hidden=768)
    ),
    "gemma3": wide("gemma3", 256),
}


@pytest.mark.parametrize("name", TRANSLATED)
def test_transformers_reads_the_same_model(name: str, tmp_path: Path) -> None:
    model = random_model(TRANSLATED[name])
    save_gguf(model, tmp_path / "a.gguf", "f32")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="a.gguf", dtype=torch.float32
    )
    assert (logits(theirs.eval()) - logits(model.model)).abs().max() < 1e-4


def test_rows_of_queries_are_ordered_as_llama_cpp_turns_them(tmp_path: Path) -> None:
    """The formula of llama.cpp's convert_hf_to_gguf.py."""
    saved = random_model(small("llama3"))
    save_gguf(saved, tmp_path / "a.gguf", "f32")
    found = contents(tmp_path / "a.gguf")
    attention = saved.model.config.attention
    for part, heads in (("query", attention.n_heads), ("key", attention.n_kv_heads)):
        weight = saved.model.state_dict()[f"blocks.0.attention.{part}.weight"].numpy()
        rows = weight.shape[0] // heads // 2
        expected = weight.reshape(heads, 2, rows, -1).swapaxes(1, 2).reshape(weight.shape)
        assert np.array_equal(found[f"blk.0.attn_{part[0]}.weight"], expected)


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
@pytest.mark.parametrize("name", ["llama3", "mixtral", "gpt2", "deepseek-v3"])
def test_fewer_bits(name: str, kind: Kind, tmp_path: Path) -> None:
    """What is read is what the library unpacks, and that is near what was written."""
    saved = random_model(MODELS[name])
    save_gguf(saved, tmp_path / "exact.gguf", "f32")
    save_gguf(saved, tmp_path / "a.gguf", kind)
    exact, found = contents(tmp_path / "exact.gguf"), contents(tmp_path / "a.gguf")
    assert exact.keys() == found.keys()
    for tensor_name, tensor in exact.items():
        if tensor.ndim == 1 or "ffn_gate_inp" in tensor_name or "position" in tensor_name:
            assert np.array_equal(found[tensor_name], tensor)
        elif kind == "q8_0" and tensor.shape[-1] % 32 == 0:
            expected = gguf.dequantize(gguf.quantize(tensor, gguf.GGMLQuantizationType.Q8_0), 8)
            assert np.array_equal(found[tensor_name], expected)
        else:
            half = torch.bfloat16 if kind == "bf16" else torch.float16
            expected = torch.from_numpy(tensor).to(half).float().numpy()
            assert np.array_equal(found[tensor_name], expected)
    save_gguf(load_gguf(tmp_path / "a.gguf"), tmp_path / "again.gguf", "f32")
    again = contents(tmp_path / "again.gguf")
    assert all(np.array_equal(again[name], tensor) for name, tensor in found.items())
    file_type = gguf.LlamaFileType(facts(tmp_path / "a.gguf")["general.file_type"])
    assert file_type.name == f"MOSTLY_{kind.upper()}"


def test_rows_that_are_no_whole_blocks_stay_f16(tmp_path: Path) -> None:
    save_gguf(random_model(small("llama2")), tmp_path / "a.gguf", "q8_0")
    types = {t.name: t.tensor_type for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors}
    assert types["blk.0.attn_q.weight"] == gguf.GGMLQuantizationType.Q8_0
    assert types["blk.0.ffn_down.weight"] == gguf.GGMLQuantizationType.F16
    load_gguf(tmp_path / "a.gguf")


def test_weights_in_the_type_asked_for(tmp_path: Path) -> None:
    save_gguf(random_model(small("deepseek-v3")), tmp_path / "a.gguf", "f16")
    model = load_gguf(tmp_path / "a.gguf", torch.bfloat16).model
    types = {name: weight.dtype for name, weight in model.named_parameters()}
    assert all((t == torch.float32) == ("balance" in name) for name, t in types.items())
    assert logits(model).isfinite().all()


def test_the_numbers_of_a_blend_are_found_again(tmp_path: Path) -> None:
    blends = [
        RopeScaling("llama3", factor=8.0, original_tokens=8192),
        RopeScaling("llama3", factor=32.0, original_tokens=8192),
        RopeScaling("llama3", factor=8.0, original_tokens=3000, high_frequency=2.5),
    ]
    for blend in blends:
        config = stretched("llama3", blend)
        attention = replace(config.attention, head_dim=128)
        config = replace(config, attention=attention)
        save_gguf(random_model(config), tmp_path / "a.gguf", "f32")
        assert differences(load_gguf(tmp_path / "a.gguf").model.config, config) == []


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_no_architecture_has_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="closest is"):
        save_gguf(random_model(small(name)), tmp_path / "a.gguf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("llama2", {"attention": {"window": 8}}, "attention.window = 8"),
        ("qwen3", {"attention": {"scale": 0.5}}, "attention.scale = 0.5"),
        ("bloom", {"attention": {"n_kv_heads": 2}}, "alibi"),
        ("gpt2", {"attention": {"bias": False}}, "attention.bias"),
        ("gemma3", {"positions": {"scaling": YARN}}, "scaling.kind = yarn"),
        ("qwen3", {"positions": {"scaling": RopeScaling("llama3", 8.0)}}, "attention.qk_norm"),
        ("deepseek-v3", {"experts": {"n_shared": 0}}, r"n_shared = 0 \(there 1\)"),
    ],
    ids=str,
)
def test_one_value_too_many(name: str, change: dict[str, Any], named: str, tmp_path: Path) -> None:
    config = small(name)
    for table, values in change.items():
        config = replace(config, **{table: replace(getattr(config, table), **values)})
    with pytest.raises(UserError, match=named):
        save_gguf(random_model(config), tmp_path / "a.gguf")


# The tokenizer and what is around it.

TEXT = "To be, or not to be, that is the question: 42 times."


def test_what_is_needed_to_talk(tmp_path: Path) -> None:
    tokenizer = train_bpe([TEXT * 20], len(SPECIAL_TOKENS) + 256 + 8)
    config = replace(small("llama2"), vocab_size=tokenizer.vocab_size + 3)  # rows to spare
    stops = frozenset((tokenizer.special["<|end|>"], 5))
    saved = random_model(
        config,
        tokenizer=composed(tokenizer, TokenizerFacts()),
        chat_template="{{ messages }}",
        stop_ids=stops,
    )
    save_gguf(saved, tmp_path / "a.gguf", "f16")
    again = load_gguf(tmp_path / "a.gguf")
    assert (again.chat_template, again.stop_ids, again.bos_id) == ("{{ messages }}", stops, None)
    assert again.name == "tiny"
    assert again.tokenizer is not None
    assert again.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
    assert again.tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    told = facts(tmp_path / "a.gguf")
    assert len(told["tokenizer.ggml.tokens"]) == config.vocab_size
    assert told["tokenizer.ggml.tokens"][-1] == f"[PAD{config.vocab_size - 1}]"
    assert told["tokenizer.ggml.token_type"][-3:] == [5, 5, 5]
    assert told["tokenizer.ggml.add_bos_token"] is False


def test_what_has_no_room(tmp_path: Path) -> None:
    tokenizer = train_bpe([TEXT * 20], len(SPECIAL_TOKENS) + 256)
    config = replace(small("llama2"), vocab_size=tokenizer.vocab_size)
    stops = frozenset(range(4))
    with pytest.raises(UserError, match="room for 3 tokens that end a text"):
        save_gguf(
            random_model(config, tokenizer=composed(tokenizer, TokenizerFacts()), stop_ids=stops),
            tmp_path / "a.gguf",
        )
    letters = random_model(
        small("llama2"), tokenizer=composed(CharTokenizer("é"), TokenizerFacts())
    )
    with pytest.raises(UserError, match="single characters"):
        save_gguf(letters, tmp_path / "a.gguf")
    with pytest.raises(UserError, match="f32, f16, bf16, q8_0, not 'q4'"):
        save_gguf(letters, tmp_path / "a.gguf", "q4")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gguf").write_text("before")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", fail)
    with pytest.raises(UserError, match="no space"):
        save_gguf(random_model(small("llama2")), tmp_path / "a.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]
    assert (tmp_path / "a.gguf").read_text() == "before"


def test_without_the_library_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match=r"pip install 'glassmind\[gguf\]'"):
        save_gguf(random_model(small("llama2")), tmp_path / "a.gguf")
