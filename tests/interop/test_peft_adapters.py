"""Adapters in peft's format: ours loaded by peft, peft's loaded by us, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import family_parity
import peft
import pytest
import torch
import transformers
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.huggingface import load_folder
from glassmind.interop.peft import WEIGHTS, Adapter, apply_adapter, load_adapter, save_adapter
from glassmind.interop.peft_config import CONFIG
from glassmind.model import Transformer
from glassmind.runs.checkpoint import load_tensors, save_tensors

IDS = torch.randint(family_parity.VOCAB, (2, 40), generator=torch.Generator().manual_seed(1))
LLAMA = ("LlamaForCausalLM", family_parity.SIZES)
QWEN3 = ("Qwen3ForCausalLM", {**family_parity.SIZES, "head_dim": 12})
DEEPSEEK = (
    "DeepseekV3ForCausalLM",
    {
        **family_parity.SIZES,
        "num_key_value_heads": 4,
        "first_k_dense_replace": 3,
        "q_lora_rank": 16,
        "kv_lora_rank": 12,
        "qk_rope_head_dim": 6,
        "qk_nope_head_dim": 10,
        "v_head_dim": 8,
        "moe_intermediate_size": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "n_shared_experts": 1,
    },
)
GPT2 = (
    "GPT2LMHeadModel",
    {
        "vocab_size": family_parity.VOCAB,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 64,
        "bos_token_id": None,
        "eos_token_id": None,
    },
)


def theirs(tmp_path: Path, kind: tuple[str, dict[str, Any]]) -> Path:
    """A folder that transformers wrote."""
    folder = tmp_path / "base"
    family_parity.reference(*kind).save_pretrained(folder)
    return folder


def random_factors(model: Transformer, rank: int, *layers: str) -> dict[str, Any]:
    made = {}
    for name, weight in model.named_parameters():
        layer = name.removesuffix(".weight")
        if layer.rpartition(".")[2] in layers:
            made[layer] = (
                torch.randn(rank, weight.shape[1]) * 0.2,
                torch.randn(weight.shape[0], rank) * 0.2,
            )
    assert made
    return made


def their_logits(folder: Path, adapter: Path) -> Tensor:
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, str(adapter)).eval()
    return family_parity.reference_logits(model, IDS)


def assert_same(ours: Tensor, expected: Tensor) -> None:
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)


CASES = [
    pytest.param(LLAMA, ("query", "key", "value", "output", "up", "gate", "down"), id="llama"),
    pytest.param(QWEN3, ("query", "value"), id="qwen3"),
    pytest.param(DEEPSEEK, ("query", "latent_down", "output"), id="deepseek"),
    pytest.param(GPT2, ("output", "up", "down"), id="gpt2"),
]


@pytest.mark.parametrize(("kind", "layers"), CASES)
@pytest.mark.parametrize("stabilized", [False, True])
def test_peft_loads_ours(
    tmp_path: Path, kind: tuple[str, dict[str, Any]], layers: tuple[str, ...], stabilized: bool
) -> None:
    folder = theirs(tmp_path, kind)
    model = load_folder(folder).model
    adapter = Adapter(random_factors(model, 3, *layers), 3, 6.0, stabilized)
    family = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
    save_adapter(adapter, model, tmp_path / "adapter", base=str(folder), family=family)
    before = family_parity.logits(model, IDS)
    expected = their_logits(folder, tmp_path / "adapter")
    apply_adapter(model, adapter)
    ours = family_parity.logits(model, IDS)
    assert (ours - before).abs().max() > 0.01
    assert_same(ours, expected)
    again = load_adapter(tmp_path / "adapter", load_folder(folder).model, family)
    assert (again.rank, again.scale) == (adapter.rank, adapter.scale)
    for name, (a, b) in adapter.factors.items():
        assert torch.equal(again.factors[name][0], a)
        assert torch.equal(again.factors[name][1], b)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        pytest.param(LLAMA, ["q_proj", "down_proj"], id="llama"),
        pytest.param(GPT2, ["mlp.c_fc"], id="gpt2"),
        pytest.param(DEEPSEEK, ["q_b_proj", "kv_a_proj_with_mqa"], id="deepseek"),
    ],
)
def test_we_load_what_peft_wrote(
    tmp_path: Path, kind: tuple[str, dict[str, Any]], targets: list[str]
) -> None:
    folder = theirs(tmp_path, kind)
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=2, lora_alpha=5, target_modules=targets, use_rslora=True, task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    model.save_pretrained(tmp_path / "adapter")
    expected = family_parity.reference_logits(model, IDS)
    ours = load_folder(folder).model
    adapter = load_adapter(tmp_path / "adapter", ours, base.config.model_type)
    apply_adapter(ours, adapter)
    assert_same(family_parity.logits(ours, IDS), expected)


@pytest.mark.parametrize(
    ("kind", "targets", "initialisation"),
    [
        pytest.param(LLAMA, ["q_proj", "down_proj", "lm_head"], "pissa", id="pissa"),
        pytest.param(GPT2, ["mlp.c_fc"], "pissa", id="pissa-transposed"),
        pytest.param(LLAMA, ["q_proj", "up_proj"], "olora", id="olora"),
        pytest.param(LLAMA, ["v_proj"], "gaussian", id="gaussian"),
        pytest.param(LLAMA, ["v_proj"], "orthogonal", id="orthogonal"),
    ],
)
def test_factors_that_were_taken_out_of_the_base(
    tmp_path: Path, kind: tuple[str, dict[str, Any]], targets: list[str], initialisation: Any
) -> None:
    folder = theirs(tmp_path, kind)
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=targets,
        init_lora_weights=initialisation,
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(tmp_path / "adapter")
    expected = their_logits(folder, tmp_path / "adapter")
    ours = load_folder(folder).model
    adapter = load_adapter(tmp_path / "adapter", ours, base.config.model_type)
    apply_adapter(ours, adapter)
    assert (family_parity.logits(ours, IDS) - expected).abs().max() < 1e-4


def test_a_family_with_several_layers_in_one_matrix_is_refused(tmp_path: Path) -> None:
    model = load_folder(theirs(tmp_path, GPT2)).model
    adapter = Adapter(random_factors(model, 2, "query"), 2, 4.0)
    with pytest.raises(UserError, match=r"gpt2 has blocks.0.attention.query and others in one"):
        save_adapter(adapter, model, tmp_path / "adapter", base="", family="gpt2")
    assert not (tmp_path / "adapter").exists()


# ---------------------------------------------------------------------------------- refusals


def damaged(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("peft_type", "IA3", r"peft_type \(IA3\) is not LORA"),
        ("use_dora", True, "use_dora"),
        ("bias", "all", "may change matrices only"),
        ("rank_pattern", {"q_proj": 4}, "all layers must have the same settings"),
        ("r", 0, "must be at least 1"),
        ("r", 7, "is for another model: it has shape"),
        ("lora_alpha", "much", "must be a number"),
        ("init_lora_weights", "pissa_niter_4", "found with random numbers"),
        ("init_lora_weights", "corda", "a sample of data that is not in the folder"),
        ("init_lora_weights", "loftq", "the base model is quantized with them"),
        ("init_lora_weights", "lora_ga", "made from gradients"),
        ("init_lora_weights", "new", r"\(new\) is not known here"),
        ("alora_invocation_tokens", [1, 2], "begins at certain tokens"),
        ("kasa_config", {"beta": 1}, "kasa_config .* give an adapter that is plain LoRA"),
        ("a_kind_of_tomorrow", True, "a_kind_of_tomorrow .* is not supported"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_config_that_is_not_understood_is_refused(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    model = load_folder(theirs(tmp_path, LLAMA)).model
    adapter = Adapter(random_factors(model, 2, "query"), 2, 4.0)
    save_adapter(adapter, model, tmp_path / "adapter", base="base")
    damaged(tmp_path / "adapter", lambda config: config.update({field: value}))
    with pytest.raises(UserError, match=said):
        load_adapter(tmp_path / "adapter", model)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    model = load_folder(theirs(tmp_path, LLAMA)).model
    adapter = Adapter(random_factors(model, 2, "query"), 2, 4.0)
    folder = tmp_path / "adapter"
    save_adapter(adapter, model, folder, base="base")
    tensors = load_tensors(folder / WEIGHTS)
    name = next(iter(tensors))
    for key, tensor, said in (
        (name.replace("layers.0", "layers.9"), tensors[name].clone(), "this one, of type llama"),
        (name, tensors[name][:, :-1], "is for another model: it has shape"),
    ):
        changed = {**tensors, key: tensor}
        save_tensors(changed, folder / WEIGHTS)
        with pytest.raises(UserError, match=said):
            load_adapter(folder, model)
    save_tensors({k: t for k, t in tensors.items() if k != name}, folder / WEIGHTS)
    with pytest.raises(UserError, match="has no factor"):
        load_adapter(folder, model)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:50])
    with pytest.raises(UserError, match="damaged"):
        load_adapter(folder, model)
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match="other formats"):
        load_adapter(folder, model)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("lm_head.lora_A.weight", "changes the output layer alone, and in this model that is the"),
        ("model.embed_tokens.lora_embedding_A", "changes the embedding"),
        ("model.layers.0.self_attn.q_proj.lora_magnitude_vector", "is no factor of plain LoRA"),
    ],
)
def test_why_a_layer_cannot_be_changed_is_said(tmp_path: Path, layer: str, said: str) -> None:
    tied = (LLAMA[0], {**LLAMA[1], "tie_word_embeddings": True})
    model = load_folder(theirs(tmp_path, tied)).model
    folder = tmp_path / "adapter"
    save_adapter(Adapter(random_factors(model, 2, "query"), 2, 4.0), model, folder, base="base")
    key = f"base_model.model.{layer}"
    save_tensors({**load_tensors(folder / WEIGHTS), key: torch.ones(2, 2)}, folder / WEIGHTS)
    with pytest.raises(UserError, match=said):
        load_adapter(folder, model)
