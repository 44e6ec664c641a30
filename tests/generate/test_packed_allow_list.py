"""What the compiled pass does not know keeps its modules, and says so once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast, get_args

import pytest
import torch
from packed_cases import PLAIN, in_pieces, make
from tiny_presets import VOCAB, tiny
from torch import Tensor, nn
from torch.nn.utils import parametrize

from glassmind.errors import UserError
from glassmind.generate import PackedModel, pack_model
from glassmind.generate.packed import model as packed_model
from glassmind.generate.packed.allow_list import KNOWN_VALUES, why_not
from glassmind.generate.packed.native import library
from glassmind.model import PRESETS, AttentionConfig, Block, ModelConfig, Transformer
from glassmind.model.config import (
    ExpertsConfig,
    FeedForwardConfig,
    FeedForwardKind,
    LatentConfig,
    NormKind,
    NormPlacement,
    PositionKind,
    ScalingKind,
)
from glassmind.model.quantized import QuantizedLinear
from glassmind.runs.recipe import LoraConfig
from glassmind.train.lora import add_lora, remove_lora

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")


@pytest.mark.parametrize("name", PRESETS)
@torch.inference_mode()
def test_every_published_architecture_is_packed_or_left_alone(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the compiled pass knows gives the modules' logits; the rest keeps them, and says so."""
    model = tiny(name)
    packed_model._say_once.cache_clear()
    packed = pack_model(model)
    config = model.config
    unknown = (
        config.attention.latent.kv_rank
        or config.experts.n_experts
        or config.norm_placement == "residual"
    )
    assert (packed is model) == bool(unknown)
    assert len(caplog.records) == bool(unknown)
    if isinstance(packed, PackedModel):
        ids_T = torch.randint(VOCAB, (60,), generator=torch.Generator().manual_seed(3))
        expected = model(ids_T[None])[0]
        close = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(in_pieces(packed, ids_T), expected, rtol=1e-4, atol=close)


UNUSUAL = {
    "experts.n_experts": replace(
        PLAIN,
        feed_forward=FeedForwardConfig("swiglu"),
        experts=ExpertsConfig(n_experts=4, d_hidden=32),
    ),
    "attention.latent.kv_rank": replace(
        PLAIN,
        attention=AttentionConfig(
            n_heads=4,
            qk_norm=False,
            latent=LatentConfig(kv_rank=16, content_dim=8, rope_dim=8, value_dim=8),
        ),
    ),
    "norm_placement": replace(PLAIN, norm_placement="residual", final_norm=False),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_cannot_be_packed_stays_or_is_refused(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Transformer(UNUSUAL[what])
    packed_model._say_once.cache_clear()
    assert pack_model(model) is model
    assert pack_model(model) is model
    [said] = caplog.messages
    assert "generating with PyTorch's modules" in said
    assert what in said
    with pytest.raises(UserError, match=what):
        pack_model(model, "int8")


@dataclass(frozen=True)
class TomorrowsAttention(AttentionConfig):
    """A field that the compiled pass has never heard of."""

    sinks: int = 0


def test_a_setting_that_nobody_taught_the_kernel_keeps_the_modules() -> None:
    def config(sinks: int) -> ModelConfig:
        return replace(PLAIN, attention=TomorrowsAttention(n_heads=6, sinks=sinks))

    assert isinstance(pack_model(make(config(0))), PackedModel)
    model = make(config(4))
    assert pack_model(model) is model
    assert "attention.sinks is 4" in str(why_not(model))


def test_no_value_is_listed_that_a_config_cannot_have() -> None:
    for path, kinds in (
        ("norm", NormKind),
        ("norm_placement", NormPlacement),
        ("positions.kind", PositionKind),
        ("positions.scaling.kind", ScalingKind),
        ("feed_forward.kind", FeedForwardKind),
    ):
        known = KNOWN_VALUES[path]
        assert known is not None
        assert known <= set(get_args(kinds))


def replace_forward(module: nn.Module) -> None:
    module.forward = lambda x: 2 * x  # type: ignore[method-assign]


def halve_weight(module: nn.Module) -> None:
    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / 2

    parametrize.register_parametrization(module, "weight", Half())


CHANGES: dict[str, Callable[[Block], object]] = {
    "a parametrisation": lambda block: halve_weight(cast(nn.Module, block.attention.query)),
    "a replaced forward": lambda block: replace_forward(block.feed_forward),
    "another activation": lambda block: setattr(block.feed_forward, "activation", torch.sin),
    "another linear layer": lambda block: setattr(
        block.attention, "output", nn.Sequential(block.attention.output)
    ),
    "another norm": lambda block: setattr(block, "attention_norm", nn.Identity()),
    "another epsilon": lambda block: setattr(block.attention_norm, "eps", 0.5),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_module_keeps_the_modules(what: str) -> None:
    model = make(PLAIN)
    CHANGES[what](cast(Block, model.blocks[1]))
    assert pack_model(model) is model
    with pytest.raises(UserError, match=r"blocks\.1"):
        pack_model(model, "int8")


def test_an_adapter_keeps_the_modules_until_it_is_merged() -> None:
    model = make(PLAIN)
    add_lora(model, LoraConfig(rank=2))
    assert pack_model(model) is model
    remove_lora(model)
    assert isinstance(pack_model(model), PackedModel)


@torch.inference_mode()
def test_a_quantized_layer_is_packed_from_its_unpacked_weights() -> None:
    model = make(PLAIN)
    attention = cast(Block, model.blocks[0]).attention
    attention.output = QuantizedLinear(attention.output, "nf4")  # type: ignore[assignment]
    packed = pack_model(model)
    assert isinstance(packed, PackedModel)
    ids_T = torch.randint(97, (90,))
    expected = model(ids_T[None])[0]
    torch.testing.assert_close(in_pieces(packed, ids_T), expected, rtol=1e-4, atol=1e-4)
