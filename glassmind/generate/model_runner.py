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
from glassmind.model import ModelConfig, Transformer
from glassmind.step_structure import START, StepState, advance

Piece = tuple[int, int, Sequence[int]]
"""Tokens of one sample: its row, the position of the first of them, and their ids."""


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

    def run(self, pieces: Iterable[Piece]) -> Tensor:
        """The final hidden states (T, D) of the tokens of all pieces, in their order."""
        ids: list[int] = []
        rows: list[int] = []
        positions: list[int] = []
        for row, first, tokens in pieces:
            ids += tokens
            positions += range(first, first + len(tokens))
            rows += [row] * len(tokens)
        positions_T = torch.tensor(positions, device=self.device)
        self.cache.expect(torch.tensor(rows, device=self.device), positions_T)
        if self.cache.states is not None:
            states_TF = self._read_steps(ids, rows, positions)
            if self.model.config.reasoning.positions == "restart":
                positions_T = states_TF[:, StepState._fields.index("position")].contiguous()
        ids_1T = torch.tensor([ids], device=self.device)
        return self.model.hidden(ids_1T, positions=positions_T, cache=self.cache)[0]

    def _read_steps(
        self, ids: Sequence[int], rows: Sequence[int], positions: Sequence[int]
    ) -> Tensor:
        """The ``StepState`` of every token of the pass, (T, 7), which are stored in the cache, too.

        A row's first token continues from the state of the token before it, which the cache holds
        whoever read it: another sample of the same prompt, or an earlier pass.
        """
        cache, kinds = self.cache, self.model.config.reasoning.token_kinds
        assert cache.states is not None
        stored = cache.states.view(-1, len(START))
        begins = [t for t in range(len(ids)) if not t or rows[t] != rows[t - 1]]
        later = [t for t in begins if positions[t]]
        slots = cache.slots(
            torch.tensor([rows[t] for t in later], dtype=torch.long, device=self.device),
            torch.tensor([positions[t] - 1 for t in later], dtype=torch.long, device=self.device),
        )
        before = dict.fromkeys(begins, START)
        before |= {t: StepState(*row) for t, row in zip(later, stored[slots].tolist(), strict=True)}
        states: list[StepState] = []
        for t, token_id in enumerate(ids):
            states.append(advance(before[t] if t in before else states[-1], kinds[token_id]))
        states_TF = torch.tensor(states, device=self.device)
        stored[cache.places.slots_T] = states_TF.int()
        return states_TF

    @property
    def training(self) -> bool:
        """Whether the model is a module in training mode."""
        return isinstance(self.model, nn.Module) and self.model.training

    def train(self, mode: bool) -> None:
        """Put the model into training mode or out of it, if it is a module."""
        if isinstance(self.model, nn.Module):
            self.model.train(mode)
