"""Attention in tiles against the formula over all pairs, forward and backward."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassmind.model import Mask, Scoring, VisibleKeys, causal, left_padding, prefix, same_document
from glassmind.model.chunked import chunked_attention
from glassmind.model.positions import AlibiBias


def formula(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, visible_keys: VisibleKeys) -> Tensor:
    """softmax(q·k·scale - slope·distance) v over the keys that ``visible`` (B, T, S) leaves.

    The queries are those of the last T of S tokens.
    """
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ k.transpose(-1, -2) * visible_keys.scoring.scale
    places = visible_keys.positions.expand(len(q), -1)
    distance = places[:, -q.shape[2] :, None] - places[:, None, :]
    if visible_keys.scoring.slopes_H is not None:
        scores = scores - visible_keys.scoring.slopes_H[:, None, None] * distance[:, None]
    if visible_keys.scoring.window:
        visible = visible & (distance < visible_keys.scoring.window)
    return scores.masked_fill(~visible[:, None], -math.inf).softmax(-1) @ v


def restart(documents_BT: Tensor) -> Tensor:
    """Positions that begin again with every document."""
    index = torch.arange(documents_BT.shape[1])
    first = documents_BT[:, :, None] == documents_BT[:, None, :]
    return index - first.int().argmax(-1)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes, a mask and positions; the numbers themselves come from ``seed``."""
    batch, kv_heads, group = (draw(st.integers(1, top)) for top in (3, 2, 3))
    tokens = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 1000))
    generator = torch.Generator().manual_seed(seed)

    def normal(heads: int, width: int) -> Tensor:
        return torch.randn(batch, heads, tokens, width, generator=generator)

    width, value_width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    q = normal(kv_heads * group, width)
    k, v = normal(kv_heads, width), normal(kv_heads, value_width)
    index = torch.arange(tokens)
    visible = (index <= index[:, None]).expand(batch, tokens, tokens)
    positions, mask = index, None
    kind = draw(st.sampled_from(("causal", "documents", "padding", "prefix", "sparse")))
    if kind == "documents":
        documents = torch.rand(batch, tokens, generator=generator).lt(0.2).int().cumsum(1)
        visible = visible & (documents[:, :, None] == documents[:, None, :])
        mask, positions = causal & same_document(documents), restart(documents)
    elif kind == "padding":
        padding = torch.randint(tokens, (batch,), generator=generator)
        seen = index >= padding[:, None]
        visible = visible & (seen[:, None, :] | torch.eye(tokens, dtype=torch.bool))
        mask = causal & left_padding(padding)
        positions = (index - padding[:, None]).clamp(min=0)
    elif kind == "prefix":  # the one that lets see the future
        lengths = torch.randint(tokens + 1, (batch,), generator=generator)
        visible = visible | (index < lengths[:, None, None])
        mask = causal | prefix(lengths)
    elif kind == "sparse":
        chosen = torch.rand(batch, tokens, tokens, generator=generator) < 0.3
        chosen |= torch.eye(tokens, dtype=torch.bool)  # every query must see some key
        visible = visible & chosen
        mask = causal & Mask(lambda b, q, kv: chosen[b, q, kv])
    slopes = None
    if draw(st.booleans()):
        slopes = torch.rand(kv_heads * group, generator=generator)
    scoring = Scoring(
        draw(st.floats(0.1, 2.0)),
        draw(st.sampled_from((0, 1, 3, 10))),
        None if slopes is None else AlibiBias(slopes),
    )
    new = draw(st.integers(1, tokens))  # the tokens before these come from a cache
    return {
        "inputs": (q[:, :, -new:], k, v),
        "visible": visible[:, -new:],
        "visible_keys": VisibleKeys(scoring, mask, positions, batch),
        "tile": draw(st.integers(1, 16)),
    }


@settings(max_examples=80)
@given(cases())
def test_equals_the_formula_forward_and_backward(case: dict[str, Any]) -> None:
    q, k, v = (x.requires_grad_() for x in case["inputs"])
    expected = formula(q, k, v, case["visible"], case["visible_keys"])
    found = chunked_attention(q, k, v, case["visible_keys"], case["tile"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        alone = chunked_attention(q, k, v, case["visible_keys"], case["tile"])
    assert torch.equal(alone, found)
    weight = torch.cos(torch.arange(found.numel()).view(found.shape).float())
    gradients = torch.autograd.grad((found * weight).sum(), (q, k, v))
    wanted = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    for mine, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-4)


@settings(max_examples=30)
@given(cases())
def test_sums_in_float32_whatever_the_inputs(case: dict[str, Any]) -> None:
    """Of bfloat16 inputs only the result is rounded: half a unit in the eighth binary digit."""
    q, k, v = (x.bfloat16() for x in case["inputs"])
    found = chunked_attention(q, k, v, case["visible_keys"], case["tile"])
    assert found.dtype == torch.bfloat16
    expected = formula(q.float(), k.float(), v.float(), case["visible"], case["visible_keys"])
    torch.testing.assert_close(found.float(), expected, atol=1e-4, rtol=2**-8)


def test_sums_in_float32_also_under_autocast() -> None:
    """A trainer's autocast would multiply in bfloat16 and round every partial sum."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 20, 4, generator=generator).requires_grad_() for _ in range(3))
    visible_keys = VisibleKeys(Scoring(0.5, 6), None, torch.arange(20), 1)
    plain = chunked_attention(q, k, v, visible_keys, tile=8)
    expected = torch.autograd.grad(plain.square().sum(), (q, k, v))
    with torch.autocast("cpu", torch.bfloat16):
        found = chunked_attention(q, k, v, visible_keys, tile=8)
        gradients = torch.autograd.grad(found.square().sum(), (q, k, v))
    assert torch.equal(found, plain)
    for mine, other in zip(gradients, expected, strict=True):
        assert torch.equal(mine, other)


def test_large_scores_do_not_overflow() -> None:
    """exp(800) is no float; differences to the largest score are."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, 12, 4, generator=generator) for _ in range(3))
    visible_keys = VisibleKeys(Scoring(400.0), causal, torch.arange(12), 1)
    visible = torch.ones(1, 12, 12, dtype=torch.bool).tril()
    found = chunked_attention(q, k, v, visible_keys, tile=3)
    torch.testing.assert_close(found, formula(q, k, v, visible, visible_keys), atol=1e-4, rtol=1e-4)
