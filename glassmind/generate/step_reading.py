"""Generating with a model that reads steps: positions by step, and a cache that forgets.

A model with ``model.reasoning`` needs each token's segment and role (``step_structure``). They
follow from the token before, whose state is kept in the cache beside its keys and values, so it
does not matter who read that token: an earlier pass, or another sample of the same prompt.

Under the masks ``flow`` and ``inductive`` most tokens of a finished step are never seen again. When
a row begins a step, the keys and values that it will still see are moved together, and the rest is
forgotten. What is left in the cache is then exactly what the mask allows, so the pass itself needs
no mask: the compiled kernels for causal attention compute these models too, over shorter rows. This
is why a token's place in its row of the cache can be before its position in the text. A pass reads
each row up to the end of a step at most; a piece that goes on is read in several passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.model.config import ReasoningConfig
from glassmind.step_structure import START, Role, StepState, advance

Piece = tuple[int, int, Sequence[int]]
"""Tokens of one sample: its row, the position of the first of them, and their ids."""

Pass = Callable[[Sequence[int], Tensor, Tensor, Tensor], Tensor]
"""Ids, rows, places in the rows, and positions of tokens (T each) -> hidden states (T, D)."""


class StepReading:
    """Reads pieces for a model with this ``reasoning``, whose keys and values are in ``cache``.

    ``forgotten[row]`` is how many tokens the cache no longer has of the sample in that row; it is
    to be set before a pass, as samples change their rows, and read after it.
    """

    def __init__(self, reasoning: ReasoningConfig, cache: PagedCache) -> None:
        assert cache.states is not None
        self.reasoning, self.cache = reasoning, cache
        self.states = cache.states.view(-1, len(START))
        self.forgotten = [0] * len(cache.tables_RW)

    @property
    def forgets(self) -> bool:
        """Whether finished steps leave the cache."""
        return self.reasoning.mask != "causal"

    def run(self, pieces: Sequence[Piece], one_pass: Pass) -> Tensor:
        """The hidden states (T, D) of the tokens of all pieces, in their order."""
        read = [0] * len(pieces)
        found: list[list[Tensor]] = [[] for _ in pieces]
        while left := [n for n, (_, _, tokens) in enumerate(pieces) if read[n] < len(tokens)]:
            ids: list[int] = []
            rows: list[int] = []
            places: list[int] = []
            positions: list[int] = []
            states: list[StepState] = []
            lengths: list[int] = []
            before = self._before([(pieces[n][0], pieces[n][1] + read[n]) for n in left])
            for n, state in zip(left, before, strict=True):
                row, first, tokens = pieces[n]
                start = read[n]
                while read[n] < len(tokens):
                    token_id = tokens[read[n]]
                    state = advance(state, self.reasoning.token_kinds[token_id])
                    position = first + read[n]
                    ids.append(token_id)
                    states.append(state)
                    places.append(position - self.forgotten[row])
                    restarts = self.reasoning.positions == "restart"
                    positions.append(state.position if restarts else position)
                    read[n] += 1
                    if self.forgets and state.role == Role.CLOSING:
                        break
                lengths.append(read[n] - start)
                rows += [row] * lengths[-1]
            rows_T, places_T, positions_T = (
                torch.tensor(numbers, device=self.cache.device)
                for numbers in (rows, places, positions)
            )
            slots_T = self.cache.slots(rows_T, places_T)
            self.states[slots_T] = torch.tensor(states, dtype=torch.int32, device=slots_T.device)
            hidden_TD = one_pass(ids, rows_T, places_T, positions_T)
            for n, part in zip(left, hidden_TD.split(lengths), strict=True):
                found[n].append(part)
        return torch.cat([part for parts in found for part in parts])

    def _before(self, tokens: Sequence[tuple[int, int]]) -> list[StepState]:
        """The state before each of these tokens, given by row and position, which are read next.

        Where a step begins, the row forgets what the mask will hide.
        """
        later = [(row, position - self.forgotten[row] - 1) for row, position in tokens if position]
        rows_N = torch.tensor([row for row, _ in later], dtype=torch.long)
        places_N = torch.tensor([place for _, place in later], dtype=torch.long)
        device = self.cache.device
        slots_N = self.cache.slots(rows_N.to(device), places_N.to(device))
        stored = iter([StepState(*state) for state in self.states[slots_N].tolist()])
        states = [next(stored) if position else START for _, position in tokens]
        if self.forgets:
            ended = [
                (row, position - self.forgotten[row])
                for (row, position), state in zip(tokens, states, strict=True)
                if state.role == Role.CLOSING
            ]
            self._forget(ended)
        return states

    def _forget(self, ended: Sequence[tuple[int, int]]) -> None:
        """Move together what rows, given with how many tokens the cache has of each, keep."""
        sources: list[Tensor] = []
        targets: list[Tensor] = []
        for row, n_stored in ended:
            slots_N = self.cache.slots(
                torch.tensor(row, device=self.cache.device),
                torch.arange(n_stored, device=self.cache.device),
            )
            segment_N, role_N = self.states[slots_N, :2].unbind(1)
            kept_N = (segment_N == 0) | (role_N == Role.RESULT) | (role_N == Role.CLOSING)
            if self.reasoning.mask == "inductive":
                kept_N |= segment_N == segment_N[-1]
            sources.append(slots_N[kept_N])
            targets.append(slots_N[: len(sources[-1])])
            self.forgotten[row] += n_stored - len(sources[-1])
        if sources:
            self.cache.move(torch.cat(sources), torch.cat(targets))
