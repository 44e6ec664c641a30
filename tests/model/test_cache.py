"""The plain cache: equal to the whole forward for every architecture, and what it forgets."""

from __future__ import annotations

import pytest
import torch
from tiny_presets import VOCAB, tiny
from torch import Tensor

from glassmind.model import PRESETS, KVCache, cache, causal, left_padding

TOKENS = 30


def some_ids() -> Tensor:
    return torch.randint(VOCAB, (3, TOKENS), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tables_up_to", [2048, 3])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", PRESETS)
@torch.no_grad()
def test_pieces_equal_the_whole(
    name: str, padded: bool, tables_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt, single tokens past the window, and several at once; with and without tables."""
    monkeypatch.setattr(cache, "DENSE_UP_TO", tables_up_to)
    model, ids = tiny(name), some_ids()
    padding = torch.tensor([0, 3, 7]) if padded else None
    if padding is None:
        expected = model(ids)
    else:
        positions = (torch.arange(TOKENS) - padding[:, None]).clamp(min=0)
        expected = model(ids, positions=positions, mask=causal & left_padding(padding))
    past = KVCache(model.config, 3, TOKENS, padding_B=padding)
    pieces = [model(piece, cache=past) for piece in ids.split((10, *[1] * 10, 4, 6), dim=1)]
    found = torch.cat(pieces, dim=1)
    for row, pads in enumerate([0, 0, 0] if padding is None else padding.tolist()):
        torch.testing.assert_close(found[row, pads:], expected[row, pads:], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mistral", "gemma3", "olmo3"])
@torch.no_grad()
def test_windows_forget(name: str) -> None:
    model, ids = tiny(name), some_ids()
    window = model.config.attention.window
    past = KVCache(model.config, 3, TOKENS)
    for piece in ids.split((3, 15, 1, 1, 10), dim=1):
        model(piece, cache=past)
        for layer, (keys, values) in enumerate(past.stores):
            if model.config.layer(layer).window:
                assert keys.shape[2] == values.shape[2] == min(past.length, window - 1)
                # Not a view of something longer.
                assert keys.untyped_storage().nbytes() == keys.numel() * keys.element_size()
            else:
                assert keys.shape[2] == TOKENS
    assert past.length == TOKENS > window
