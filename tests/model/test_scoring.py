"""How a mask, a window and ALiBi reach the kernel, and in which of three forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glassmind.model import Mask, Scoring, VisibleKeys, causal, same_document
from glassmind.model.positions import AlibiBias, alibi_slopes
from glassmind.model.scoring import DENSE_UP_TO

SLOPES = torch.tensor([0.5, 0.25])
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2], [0, 1, 1, 1, 1, 2, 2, 2]])
BATCH, TOKENS = DOCUMENTS.shape


def table(scoring: Scoring, mask: Tensor | None, positions: Tensor) -> Tensor:
    """What is added to each score, (B, H, T, T), pair by pair; ``mask`` (B, T, T) as given."""
    heads = 1 if scoring.slopes_H is None else len(scoring.slopes_H)
    out = torch.zeros(BATCH, heads, TOKENS, TOKENS)
    places = positions.expand(BATCH, TOKENS)
    for b in range(BATCH):
        for h in range(heads):
            for q in range(TOKENS):
                for k in range(TOKENS):
                    distance = int(places[b, q] - places[b, k])
                    value = 0.0 if k <= q else -math.inf
                    if mask is not None and mask.dtype == torch.bool:
                        value = 0.0 if mask[b, q, k] else -math.inf
                    elif mask is not None:
                        value = float(mask[b, q, k])
                    if scoring.slopes_H is not None:
                        value -= float(scoring.slopes_H[h]) * distance
                    if scoring.window and distance >= scoring.window:
                        value = -math.inf
                    out[b, h, q, k] = value
    return out


def as_floats(lowered: Tensor | VisibleKeys | None) -> Tensor:
    assert isinstance(lowered, Tensor)
    if lowered.dtype == torch.bool:
        lowered = torch.zeros(lowered.shape).masked_fill(~lowered, -math.inf)
    return lowered


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("given", ["none", "predicate", "booleans", "floats"])
@pytest.mark.parametrize("slopes", [None, SLOPES])
@pytest.mark.parametrize("window", [0, 3])
def test_a_short_row_gets_the_table(
    window: int, slopes: Tensor | None, given: str, restart: bool
) -> None:
    scoring = Scoring(1.0, window, None if slopes is None else AlibiBias(slopes))
    predicate = causal & same_document(DOCUMENTS)
    dense = predicate.dense(BATCH, TOKENS)
    floats = torch.randn(dense.shape, generator=torch.Generator().manual_seed(0))
    floats = floats.masked_fill(~dense, -math.inf)
    positions = torch.arange(TOKENS)
    if restart:
        first = (DOCUMENTS[:, :, None] == DOCUMENTS[:, None, :]).int().argmax(-1)
        positions = positions - first
    masks: dict[str, tuple[Mask | Tensor | None, Tensor | None]] = {
        "none": (None, None),
        "predicate": (predicate, dense),
        "booleans": (dense, dense),
        "floats": (floats, floats),
    }
    mask, expected = masks[given]
    lowered = scoring.lower(mask, positions, BATCH, TOKENS)
    if lowered is None:
        assert given == "none" and not window and slopes is None
        return
    wanted = table(scoring, expected, positions)
    torch.testing.assert_close(as_floats(lowered).broadcast_to(wanted.shape), wanted)


def lowered(mask: Mask | Tensor | None, tokens: int, window: int = 0, alibi: bool = False) -> str:
    scoring = Scoring(1.0, window, AlibiBias(SLOPES) if alibi else None)
    return type(scoring.lower(mask, torch.arange(tokens), 1, tokens)).__name__


def test_which_form_a_mask_takes() -> None:
    long, short = DENSE_UP_TO + 1, DENSE_UP_TO
    for tokens in (short, long):
        assert lowered(None, tokens) == "NoneType"
        assert lowered(None, tokens, window=tokens) == "NoneType"  # a window nobody looks out of
    for window, alibi, mask in ((5, False, None), (0, True, None), (0, False, causal)):
        assert lowered(mask, 16, window, alibi) == "Tensor"
        assert lowered(mask, long, window, alibi) == "VisibleKeys"
    assert lowered(causal, short) == "Tensor"


def test_a_table_that_exists_is_used_as_it_is() -> None:
    given = torch.zeros(1, 8, 8)
    assert Scoring(1.0).lower(given[0], torch.arange(8), 1, 8) is not None
    passed = Scoring(1.0).lower(given, torch.arange(8), 1, 8)
    assert isinstance(passed, Tensor) and passed.data_ptr() == given.data_ptr()
    assert passed.shape == (1, 1, 8, 8)  # the heads' dimension put in


def test_nothing_is_added_where_nothing_is_to_add() -> None:
    for scoring in (Scoring(1.0), Scoring(1.0, window=3)):
        tile = VisibleKeys(scoring, causal, torch.arange(8), 1).tile(
            torch.arange(8), torch.arange(8)
        )
        assert tile.dtype == torch.bool


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6, 8, 12, 16, 20, 25, 32, 40, 112])
def test_slopes_are_those_of_bloom(n_heads: int) -> None:
    bloom = pytest.importorskip(
        "transformers.models.bloom.modeling_bloom", reason="transformers is not installed"
    )
    # Their table is slope times position for every head; position 1 shows the slope.
    table = bloom.build_alibi_tensor(torch.ones(1, 2, dtype=torch.long), n_heads, torch.float32)
    torch.testing.assert_close(alibi_slopes(n_heads), table[:, 0, 1], atol=0, rtol=1e-6)
