"""Taps: they show and change what flows, and cost nothing while nobody looks."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model import (
    AttentionConfig,
    Block,
    ModelConfig,
    Tap,
    Transformer,
    probe,
    tap_names,
    zero,
)

LAYERS = 2
IDS = torch.randint(23, (2, 9), generator=torch.Generator().manual_seed(3))


def make_model() -> Transformer:
    config = ModelConfig(
        vocab_size=23,
        max_tokens=32,
        d_model=16,
        n_layers=LAYERS,
        attention=AttentionConfig(n_heads=4, n_kv_heads=2),
    )
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4, generator=generator)
    return model


def without_taps(model: Transformer) -> Transformer:
    """The same model with every tap taken out (an ``nn.Identity`` holds its place).

    ``weights`` stays: attention asks that tap whether anybody watches.
    """
    bare = copy.deepcopy(model)
    for module in bare.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, Tap):
                plain = nn.Identity()
                plain.watched = False  # type: ignore[assignment]
                setattr(module, name, plain)
    assert not tap_names(bare)
    return bare


def loss_and_gradients(model: Transformer) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad()
    logits = model(IDS)
    loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters() if p.grad is not None]


def assert_bit_identical(one: Transformer, two: Transformer) -> None:
    (loss, gradients), (other, others) = loss_and_gradients(one), loss_and_gradients(two)
    assert torch.equal(loss, other)
    assert len(gradients) == len(others) == len(list(one.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


# ------------------------------------------------------------------------------ free of charge


def test_loss_and_gradients_are_those_of_a_model_without_taps() -> None:
    model = make_model()
    assert_bit_identical(model, without_taps(model))


def test_compiled_block_has_the_graph_of_a_block_without_taps() -> None:
    """Counted at the compiler's front door: no kernel is generated."""

    def graph_of(block: Block) -> list[tuple[str, str]]:
        graphs: list[list[tuple[str, str]]] = []

        def backend(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
            graphs.append([(node.op, str(node.target)) for node in graph.graph.nodes])
            return graph.forward

        torch._dynamo.reset()
        x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(9, 9, dtype=torch.bool).tril()
        compiled = torch.compile(block, backend=backend, fullgraph=True, dynamic=False)
        compiled(x, model.rotations(torch.arange(9))["global"], mask, None)
        assert len(graphs) == 1
        return graphs[0]

    model = make_model()
    block, bare = model.blocks[0], without_taps(model).blocks[0]
    assert isinstance(block, Block)
    assert isinstance(bare, Block)
    watched, plain = graph_of(block), graph_of(bare)
    torch._dynamo.reset()
    assert len(watched) == len(plain)
    assert watched == plain


def test_after_a_probe_the_model_is_as_before() -> None:
    model = make_model()
    before = loss_and_gradients(model)
    with probe(model, read=["*"], replace={"blocks.1.attention.q": zero}):
        model(IDS)
    after = loss_and_gradients(model)
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))


# ------------------------------------------------------------------------------------- reading


def test_names_come_in_the_order_of_the_data() -> None:
    model, passed = make_model(), []
    for name, module in model.named_modules():
        if isinstance(module, Tap):
            module.register_forward_hook(lambda m, i, o, name=name: passed.append(name))
    model(IDS)
    assert passed == tap_names(model)


@torch.no_grad()
def test_reading_shows_every_tap_with_its_shape() -> None:
    model = make_model()
    with probe(model, read=["*"]) as seen:
        logits = model(IDS)
    assert list(seen) == tap_names(model)
    shapes = {
        "residual_in": (2, 9, 16),
        "attention.q": (2, 4, 9, 4),
        "attention.k": (2, 2, 9, 4),
        "attention.v": (2, 2, 9, 4),
        "attention.weights": (2, 4, 9, 9),
        "attention.heads": (2, 4, 9, 4),
        "attention_out": (2, 9, 16),
        "residual_mid": (2, 9, 16),
        "feed_forward.hidden": (2, 9, 64),
        "feed_forward_out": (2, 9, 16),
        "residual_out": (2, 9, 16),
    }
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            assert seen[f"blocks.{layer}.{name}"].shape == shape, name
        here = {name: seen[f"blocks.{layer}.{name}"] for name in shapes}
        middle = here["residual_in"] + here["attention_out"]
        torch.testing.assert_close(here["residual_mid"], middle)
        torch.testing.assert_close(here["residual_out"], middle + here["feed_forward_out"])
        weights = here["attention.weights"]
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 9))
        assert torch.equal(weights, weights.tril())
    torch.testing.assert_close(model.logits(seen["final"]), logits)


@torch.no_grad()
def test_watching_the_weights_changes_no_logit() -> None:
    model = make_model().double()  # in float32 two orders of adding up differ by about 1e-6
    plain = model(IDS)
    with probe(model, read=["blocks.*.attention.weights"]) as seen:
        watched = model(IDS)
    torch.testing.assert_close(watched, plain, atol=1e-10, rtol=0)
    single = make_model()
    with probe(single, read=["blocks.*.attention.weights"]):
        torch.testing.assert_close(single(IDS), plain.float(), atol=1e-5, rtol=0)
    assert set(seen) == {f"blocks.{layer}.attention.weights" for layer in range(LAYERS)}


def test_what_is_read_is_detached() -> None:
    with probe(make_model(), read=["final"]) as seen:
        logits = make_model()(IDS)
    assert not seen
    model = make_model()
    with probe(model, read=["final"]) as seen:
        logits = model(IDS)
    assert logits.requires_grad
    assert not seen["final"].requires_grad


# ----------------------------------------------------------------------------------- replacing


@torch.no_grad()
def test_replacing_changes_what_flows_on() -> None:
    model = make_model()
    with probe(model, read=["blocks.*"], replace={"blocks.*_out": zero}) as seen:
        model(IDS)  # both branches of every block are silent, and so is what a block hands on
    assert not seen["blocks.0.residual_out"].any()
    names = {f"blocks.{n}.{part}_out": zero for n in range(2) for part in ("attention",)}
    names |= {f"blocks.{n}.feed_forward_out": zero for n in range(2)}
    with probe(model, replace=names):
        silenced = model(IDS)
    assert torch.equal(silenced, model.logits(model.final_norm(model.embed(IDS))))


@torch.no_grad()
def test_replaced_weights_are_used() -> None:
    """Attention that looks only at itself gives every head its own value back."""
    model = make_model()

    def itself(weights: Tensor) -> Tensor:
        return torch.eye(weights.shape[-1]).expand_as(weights)

    with probe(model, read=["*"], replace={"blocks.0.attention.weights": itself}) as seen:
        model(IDS)
    values = seen["blocks.0.attention.v"].repeat_interleave(2, dim=1)
    torch.testing.assert_close(seen["blocks.0.attention.heads"], values)
    assert torch.equal(
        seen["blocks.0.attention.weights"], itself(seen["blocks.0.attention.weights"])
    )


# -------------------------------------------------------------------------------------- errors


def test_an_unknown_tap_is_named_and_leaves_no_hook() -> None:
    model = make_model()
    for arguments in (
        {"read": ["final", "blocks.9.attention.weights"]},
        {"replace": {"final": zero, "nonsense": zero}},
    ):
        with (
            pytest.raises(UserError, match=r"no tap is called .*; the model has embedding"),
            probe(model, **arguments),
        ):
            pass
    assert not any(m.watched for m in model.modules() if isinstance(m, Tap))


def test_hooks_are_gone_after_an_exception() -> None:
    model = make_model()

    def fail(x: Tensor) -> Tensor:
        raise ArithmeticError

    with pytest.raises(ArithmeticError), probe(model, read=["*"], replace={"final": fail}):
        model(IDS)
    assert not any(m.watched for m in model.modules() if isinstance(m, Tap))
    model(IDS)


def test_taps_named_in_the_documentation_exist() -> None:
    """Every tap the module's own examples name."""
    text = sys.modules[Tap.__module__].__doc__ or ""
    names = re.findall(r'"(blocks\.[^"]+)"', text)
    assert len(names) == 3
    config = ModelConfig(vocab_size=5, d_model=8, n_layers=4, attention=AttentionConfig(n_heads=2))
    model = Transformer(config)
    with probe(model, read=names):
        model(torch.zeros(1, 2, dtype=torch.long))
