"""A model together with its KV cache: runs tokens of many samples in one pass.

A pass reads pieces of many samples (a whole prompt, one new token), concatenated into one long row.
``ModelRunner.run`` runs the model on them. The engine has one runner for its model, and a second
one if a draft model guesses ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.cache.paged_cache import PagedCache, token_bytes
from glassmind.generate.step_reading import Piece, StepReading
from glassmind.model import ModelConfig, Transformer


class LanguageModel(Protocol):
    """What the engine needs of a model: a ``Transformer``, or something that computes the same."""

    @property
    def config(self) -> ModelConfig: ...

    def hidden(self, ids_1T: Tensor, /, *, positions: Tensor, cache: PagedCache) -> Tensor:
        """The final hidden states, (1, T, D), of tokens that ``cache`` expects."""
        ...

    def logits(self, hidden_TD: Tensor, /) -> Tensor:
        """(T, D) hidden states -> (T, V) unnormalised log-probabilities of the next token."""
        ...


def dtype_and_device(model: LanguageModel) -> tuple[torch.dtype, torch.device]:
    """The dtype that a model's keys and values have by default, and the device they are on."""
    if isinstance(model, Transformer):
        return model.embed.weight.dtype, model.embed.weight.device
    return torch.float32, torch.device("cpu")


def block_bytes(model: LanguageModel, cache_dtype: torch.dtype | None = None) -> int:
    """Bytes that a block of the cache takes for ``model``."""
    return BLOCK * token_bytes(model.config, cache_dtype or dtype_and_device(model)[0])


class ModelRunner:
    """``model`` with a cache of ``n_blocks`` blocks for ``n_rows`` samples.

    ``cache_dtype`` is the model's own dtype unless given.
    """

    def __init__(
        self,
        model: LanguageModel,
        n_blocks: int,
        n_rows: int,
        cache_dtype: torch.dtype | None = None,
    ) -> None:
        dtype, self.device = dtype_and_device(model)
        self.model = model
        self.cache = PagedCache(model.config, n_blocks, n_rows, cache_dtype or dtype, self.device)
        self.steps: StepReading | None = None
        if model.config.reasoning.reads_steps:
            self.steps = StepReading(model.config.reasoning, self.cache)

    def run(self, pieces: Iterable[Piece]) -> Tensor:
        """The final hidden states (T, D) of the tokens of all pieces, in their order."""
        if self.steps is not None:
            return self.steps.run(list(pieces), self._pass)
        ids: list[int] = []
        rows: list[int] = []
        positions: list[int] = []
        for row, first, tokens in pieces:
            ids += tokens
            positions += range(first, first + len(tokens))
            rows += [row] * len(tokens)
        positions_T = torch.tensor(positions, device=self.device)
        return self._pass(ids, torch.tensor(rows, device=self.device), positions_T, positions_T)

    def _pass(
        self, ids: Sequence[int], rows_T: Tensor, places_T: Tensor, positions_T: Tensor
    ) -> Tensor:
        """One pass; ``places_T`` are the tokens' places in their rows of the cache."""
        self.cache.expect(rows_T, places_T)
        ids_1T = torch.tensor([ids], device=self.device)
        return self.model.hidden(ids_1T, positions=positions_T, cache=self.cache)[0]

    @property
    def training(self) -> bool:
        """Whether the model is a module in training mode."""
        return isinstance(self.model, nn.Module) and self.model.training

    def train(self, mode: bool) -> None:
        """Put the model into training mode or out of it, if it is a module."""
        if isinstance(self.model, nn.Module):
            self.model.train(mode)
