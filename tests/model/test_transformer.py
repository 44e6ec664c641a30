"""The transformer against other people's, against its own formulas, and against its own cache."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model import (
    PRESETS,
    AttentionConfig,
    FeedForwardConfig,
    KVCache,
    ModelConfig,
    PositionConfig,
    Transformer,
    causal,
    probe,
    same_document,
)
from glassmind.model.attention_kernels import explicit_attention, fused_attention
from glassmind.model.positions import rope_table, rotate, sinusoidal_table
from glassmind.runs.weights import load_weights

VOCAB = 61


def tiny(**changes: Any) -> Transformer:
    """Two layers with every weight random: the initial zeros would hide whole branches."""
    values: dict[str, Any] = {"vocab_size": VOCAB, "max_tokens": 48, "d_model": 32, "n_layers": 2}
    model = Transformer(ModelConfig(**values | changes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()


def some_ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(VOCAB, (batch, tokens), generator=torch.Generator().manual_seed(1))


# ----------------------------------------------------------- other people's implementations


def compare(theirs: nn.Module, ours: Transformer, weights: dict[str, Tensor]) -> None:
    """Copy ``weights`` (named as ours) and compare logits."""
    load_weights(ours, weights, "their model")
    ids = some_ids(3, 24)
    with torch.no_grad():
        expected = theirs.eval()(ids).logits
        assert expected.abs().max() > 0.5  # a comparison of zeros would prove nothing
        torch.testing.assert_close(ours.eval()(ids), expected, atol=1e-4, rtol=0)


def shaken(model: nn.Module) -> nn.Module:
    """All parameters random, norms and biases included."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def llama_weights(theirs: nn.Module, ours: Transformer) -> dict[str, Tensor]:
    given = dict(theirs.named_parameters())
    weights: dict[str, Tensor] = {"embed.weight": given["model.embed_tokens.weight"]}
    weights["final_norm.weight"] = given["model.norm.weight"]
    if not ours.config.tie_embeddings:
        weights["unembed.weight"] = given["lm_head.weight"]
    names = {
        "attention_norm": "input_layernorm",
        "feed_forward_norm": "post_attention_layernorm",
        "attention.query": "self_attn.q_proj",
        "attention.key": "self_attn.k_proj",
        "attention.value": "self_attn.v_proj",
        "attention.output": "self_attn.o_proj",
        "feed_forward.up": "mlp.up_proj",
        "feed_forward.gate": "mlp.gate_proj",
        "feed_forward.down": "mlp.down_proj",
    }
    if ours.config.attention.qk_norm:
        names |= {
            "attention.query_norm": "self_attn.q_norm",
            "attention.key_norm": "self_attn.k_norm",
        }
    for layer in range(ours.config.n_layers):
        for mine, other in names.items():
            weights[f"blocks.{layer}.{mine}.weight"] = given[f"model.layers.{layer}.{other}.weight"]
    return weights


def test_equals_llama() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=48,
        rms_norm_eps=1e-5,
        rope_theta=10_000.0,
        tie_word_embeddings=False,
    )
    ours = tiny(
        tie_embeddings=False,
        attention=AttentionConfig(n_heads=4, n_kv_heads=2, qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=48),
    )
    theirs = shaken(transformers.LlamaForCausalLM(config))
    compare(theirs, ours, llama_weights(theirs, ours))


def test_equals_qwen3() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=48,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
    )
    ours = tiny(
        norm_eps=1e-6,
        attention=AttentionConfig(n_heads=4, n_kv_heads=2, head_dim=16, qk_norm=True),
        positions=PositionConfig("rope", rope_theta=1_000_000.0),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=48),
    )
    theirs = shaken(transformers.Qwen3ForCausalLM(config))
    compare(theirs, ours, llama_weights(theirs, ours))


def test_equals_gpt2() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=48, n_embd=32, n_layer=2, n_head=4
    )
    theirs = shaken(transformers.GPT2LMHeadModel(config))
    ours = tiny(
        norm="layernorm",
        attention=AttentionConfig(n_heads=4, qk_norm=False, bias=True, output_bias=True),
        positions=PositionConfig("learned"),
        feed_forward=FeedForwardConfig("gelu", bias=True),
    )
    given = dict(theirs.named_parameters())
    weights: dict[str, Tensor] = {
        "embed.weight": given["transformer.wte.weight"],
        "absolute_positions.table": given["transformer.wpe.weight"],
        "final_norm.weight": given["transformer.ln_f.weight"],
        "final_norm.bias": given["transformer.ln_f.bias"],
    }
    for layer in range(2):
        here, there = f"blocks.{layer}", f"transformer.h.{layer}"
        for mine, other in (("attention_norm", "ln_1"), ("feed_forward_norm", "ln_2")):
            for kind in ("weight", "bias"):
                weights[f"{here}.{mine}.{kind}"] = given[f"{there}.{other}.{kind}"]
        for mine, other in (
            ("attention.output", "attn.c_proj"),
            ("feed_forward.up", "mlp.c_fc"),
            ("feed_forward.down", "mlp.c_proj"),
        ):  # GPT-2 keeps its matrices the other way round
            weights[f"{here}.{mine}.weight"] = given[f"{there}.{other}.weight"].T
            weights[f"{here}.{mine}.bias"] = given[f"{there}.{other}.bias"]
        matrices = given[f"{there}.attn.c_attn.weight"].T.chunk(3)
        biases = given[f"{there}.attn.c_attn.bias"].chunk(3)
        for name, matrix, bias in zip(("query", "key", "value"), matrices, biases, strict=True):
            weights[f"{here}.attention.{name}.weight"] = matrix
            weights[f"{here}.attention.{name}.bias"] = bias
    compare(theirs, ours, weights)


# -------------------------------------------------------------------------------- attention


def loop_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, scale: float) -> Tensor:
    """Attention written for one query at a time; every shape spelt out."""
    batch, heads, tokens, _ = q.shape
    group = heads // k.shape[1]
    out = torch.zeros_like(q)
    for b in range(batch):
        for h in range(heads):
            for t in range(tokens):
                keys = visible[b, 0, t].nonzero()[:, 0].tolist()
                scores = [float(q[b, h, t] @ k[b, h // group, s]) * scale for s in keys]
                total = sum(math.exp(score) for score in scores)
                for s, score in zip(keys, scores, strict=True):
                    out[b, h, t] += math.exp(score) / total * v[b, h // group, s]
    return out


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_both_attentions_equal_the_loop(kv_heads: int) -> None:
    generator = torch.Generator().manual_seed(kv_heads)
    q = torch.randn(2, 4, 7, 8, generator=generator)
    k, v = (torch.randn(2, kv_heads, 7, 8, generator=generator) for _ in range(2))
    visible = torch.rand(2, 1, 7, 7, generator=generator) < 0.5
    visible |= torch.eye(7, dtype=torch.bool)  # every query must see some key
    expected = loop_attention(q, k, v, visible, 0.3)
    additive = torch.zeros(visible.shape).masked_fill(~visible, float("-inf"))
    for attend in (explicit_attention, fused_attention):
        for mask in (visible, additive):
            torch.testing.assert_close(attend(q, k, v, mask, 0.3), expected, atol=1e-5, rtol=0)
    causal_only = loop_attention(q, k, v, torch.ones_like(visible).tril(), 0.3)
    for attend in (explicit_attention, fused_attention):
        torch.testing.assert_close(attend(q, k, v, None, 0.3), causal_only, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_watching_weights_changes_neither_logits_nor_gradients(kv_heads: int) -> None:
    """The fused kernel against the formula, which runs while the weights are watched."""
    model = tiny(attention=AttentionConfig(n_heads=4, n_kv_heads=kv_heads))
    results = []
    for watched in ([], ["blocks.*.attention.weights"]):
        model.zero_grad()
        with probe(model, read=watched):
            logits = model(some_ids(2, 20))
            logits.square().mean().backward()
        results.append((logits.detach(), [p.grad.clone() for p in model.parameters()]))  # type: ignore[union-attr]
    (one, grads), (two, others) = results
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
    for a, b in zip(grads, others, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


# ------------------------------------------------------------------------- cache and packing


@pytest.mark.parametrize("kind", ["rope", "learned", "sinusoidal", "none"])
@pytest.mark.parametrize("cuts", [[8] + [1] * 12, [1] * 20, [3, 9, 1, 7], [20]])
@torch.no_grad()
def test_cache_equals_the_whole_forward(kind: Any, cuts: list[int]) -> None:
    model = tiny(attention=AttentionConfig(n_heads=4, n_kv_heads=2), positions=PositionConfig(kind))
    ids = some_ids(3, 20)
    cache = KVCache(model.config, batch=3, max_tokens=20)
    pieces = [model(piece, cache=cache) for piece in ids.split(cuts, dim=1)]
    assert cache.length == 20
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["rope", "learned"])
@torch.no_grad()
def test_packed_documents_are_as_if_alone(kind: Any) -> None:
    model = tiny(positions=PositionConfig(kind))
    lengths = [5, 9, 1, 6]
    ids = some_ids(1, sum(lengths))
    documents = torch.cat([torch.full((n,), d) for d, n in enumerate(lengths, 1)])[None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    mask = (causal & same_document(documents)).dense(1, sum(lengths))
    packed = model(ids, positions=positions, mask=mask)[0]
    alone = [model(piece)[0] for piece in ids.split(lengths, dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_future_does_not_leak() -> None:
    model, ids = tiny(), some_ids(1, 16)
    changed = ids.clone()
    changed[0, 10:] = (changed[0, 10:] + 1) % VOCAB
    before, after = model(ids)[0], model(changed)[0]
    torch.testing.assert_close(after[:10], before[:10], atol=1e-6, rtol=0)
    assert not torch.allclose(after[10:], before[10:])


# -------------------------------------------------------------------------------- positions


def test_sinusoidal_table_is_the_formula() -> None:
    table = sinusoidal_table(50, 16)
    for position in (0, 1, 17, 49):
        for i in range(8):
            angle = position / 10_000 ** (2 * i / 16)
            assert table[position, i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 8 + i] == pytest.approx(math.cos(angle), abs=1e-5)


def test_rope_turns_pairs_by_the_formula() -> None:
    cos, sin = rope_table(50, 8, 100.0)
    x = torch.randn(1, 50, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, cos, sin)
    for position in (0, 3, 49):
        for i in range(4):
            angle = position * 100.0 ** (-2 * i / 8)
            pair = complex(x[0, position, 1, i], x[0, position, 1, i + 4])
            expected = pair * complex(math.cos(angle), math.sin(angle))
            assert turned[0, position, 1, i] == pytest.approx(expected.real, abs=1e-5)
            assert turned[0, position, 1, i + 4] == pytest.approx(expected.imag, abs=1e-5)


def test_rope_scores_depend_on_the_distance_alone() -> None:
    cos, sin = rope_table(64, 16, 10_000.0)
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(16, generator=generator).expand(1, 64, 1, 16) for _ in range(2))
    turned_q, turned_k = rotate(q, cos, sin)[0, :, 0], rotate(k, cos, sin)[0, :, 0]
    scores = turned_q @ turned_k.T
    for distance in (0, 1, 7, 30):
        along = scores.diagonal(-distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["rope", "learned", "sinusoidal"])
@torch.no_grad()
def test_given_positions_are_obeyed(kind: Any) -> None:
    model, ids = tiny(positions=PositionConfig(kind)), some_ids(2, 6)
    rows = torch.arange(6).expand(2, 6)
    torch.testing.assert_close(model(ids, positions=rows), model(ids))
    stretched = model(ids, positions=torch.arange(6) * 3)
    assert not torch.allclose(stretched, model(ids), atol=1e-4)


@torch.no_grad()
def test_sinusoidal_positions_are_no_parameters() -> None:
    assert "absolute_positions.table" not in dict(
        tiny(positions=PositionConfig("sinusoidal")).named_parameters()
    )
    assert "absolute_positions.table" in dict(
        tiny(positions=PositionConfig("learned")).named_parameters()
    )


# ------------------------------------------------------------------- config and initial state


@pytest.mark.parametrize("tied", [True, False])
def test_tying_shares_the_matrix(tied: bool) -> None:
    model = tiny(tie_embeddings=tied)
    assert (model.unembed.weight is model.embed.weight) == tied
    assert ("unembed.weight" in dict(model.named_parameters())) != tied
    model(some_ids(1, 4)).sum().backward()
    assert model.embed.weight.grad is not None


@pytest.mark.parametrize("feed_forward", ["relu2", "gelu", "swiglu"])
@pytest.mark.parametrize("norm", ["rmsnorm", "layernorm"])
def test_every_part_gets_gradients(feed_forward: Any, norm: Any) -> None:
    model = tiny(norm=norm, feed_forward=FeedForwardConfig(feed_forward, bias=True))
    model(some_ids(2, 8)).log_softmax(-1)[..., 3].mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("key_norm.bias"):  # a constant added to every score changes nothing
            assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_untrained_blocks_are_the_identity() -> None:
    torch.manual_seed(0)
    model = Transformer(ModelConfig(vocab_size=VOCAB, d_model=32, n_layers=3))
    ids = some_ids(2, 5)
    assert torch.equal(model.hidden(ids), model.final_norm(model.embed(ids)))


def test_same_seed_same_initial_weights() -> None:
    models = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        models.append(Transformer(ModelConfig(vocab_size=VOCAB, d_model=32, n_layers=1)))
    states = [torch.cat([p.detach().flatten() for p in m.parameters()]) for m in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"d_model": 0}, "d_model must be at least 1"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"vocab_size": -1}, "vocab_size must not be negative"),
        ({"attention": AttentionConfig(n_heads=0)}, "positive multiple"),
        ({"attention": AttentionConfig(n_heads=4, n_kv_heads=3)}, "positive multiple"),
        ({"d_model": 130}, "divisible by attention.n_heads"),
        ({"d_model": 12, "attention": AttentionConfig(n_heads=4)}, "must be even"),
        (
            {
                "d_model": 33,
                "attention": AttentionConfig(n_heads=3),
                "positions": PositionConfig("sinusoidal"),
            },
            "even d_model",
        ),
    ],
)
def test_impossible_configs_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"attention": AttentionConfig(head_dim=-4)},
        {"feed_forward": FeedForwardConfig(d_hidden=-1)},
        {"positions": PositionConfig("rope", rope_theta=0.0)},
        {"norm_eps": -1.0},
    ],
)
def test_negative_sizes_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        ModelConfig(**values)


@pytest.mark.parametrize("kind", ["rope", "learned"])
def test_longer_inputs_are_refused(kind: Any) -> None:
    """As ``ModelConfig.max_tokens`` says, and by a sentence."""
    with pytest.raises((UserError, ValueError), match="48"):
        tiny(positions=PositionConfig(kind))(some_ids(1, 49))


def test_a_model_needs_a_vocabulary() -> None:
    with pytest.raises(ValueError, match="vocab_size"):
        Transformer(ModelConfig())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gpt2", 124_439_808),
        ("bloom", 559_214_592),
        ("llama2", 6_738_415_616),
        ("mistral", 7_241_732_096),
        ("mixtral", 46_702_792_704),
        ("llama3", 8_030_261_248),
        ("qwen2.5", 494_032_768),
        ("olmo2", 1_484_916_736),
        ("deepseek-v3", 671_026_419_200),
        ("smollm2", 134_515_008),
        ("gemma3", 268_098_176),
        ("qwen3", 596_049_920),
        ("qwen3-moe", 30_532_122_624),
        ("smollm3", 3_075_098_624),
    ],
)
def test_presets_have_their_published_sizes(name: str, parameters: int) -> None:
    """Counted on the meta device: shapes without memory."""
    config = replace(PRESETS[name], max_tokens=min(PRESETS[name].max_tokens, 4096))
    with torch.device("meta"):
        model = Transformer(config)
    assert sum(p.numel() for p in model.parameters()) == parameters
