"""Biases on single tokens, and penalties for repetition, applied to the logits before the draw.

A bias is fixed by the request; a penalty depends on the tokens so far, which are far fewer than the
vocabulary. Both change only the logits they concern, given as a list of (row, token) places. The
list is computed anew at each step, so no state is kept for rows that start, end or start over.

Shapes: R rows, V vocabulary, N places (row, token), the same one several times where it occurs
several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from glassmind.generate.request import SamplingParams


class Biases:
    """What the ``logit_bias`` of some rows adds, and where; ``params[i]`` is row ``rows[i]``'s."""

    def __init__(
        self, rows: Sequence[int], params: Sequence[SamplingParams], device: torch.device
    ) -> None:
        strengths = [
            (row, (1.0,), [token_id for token_id, _ in p.logit_bias])
            for row, p in zip(rows, params, strict=True)
        ]
        self._rows_N, self._ids_N, _ = _places(strengths, device)
        values = [float(bias) for p in params for _, bias in p.logit_bias]
        self._values_N = torch.tensor(values, device=device)

    def __len__(self) -> int:
        return len(self._values_N)

    def add_to(self, logits_RV: Tensor) -> None:
        """In place. No row names a token twice, so no place is written twice."""
        logits_RV[self._rows_N, self._ids_N] += self._values_N


def penalise(
    logits_RV: Tensor,
    rows: Sequence[int],
    params: Sequence[SamplingParams],
    histories: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> None:
    """Apply the three penalties to ``rows`` of the logits, in place.

    ``params[i]`` and ``histories[i]``, the ids of (prompt, continuation), belong to row
    ``rows[i]``. Repetition counts both (CTRL: Keskar et al. 2019, arXiv 1909.05858), frequency and
    presence the continuation only (the OpenAI API: logit - count · frequency - (count > 0) ·
    presence).
    """
    described = list(zip(rows, params, histories, strict=True))
    repeating = [
        (row, (p.repetition_penalty,), ids)
        for row, p, both in described
        if p.repetition_penalty != 1
        for ids in both
    ]
    rows_N, ids_N, strengths = _places(repeating, logits_RV.device)
    if len(ids_N):
        old_N = logits_RV[rows_N, ids_N]
        (factors_N,) = strengths
        # A token that occurs twice is written twice, with the same value.
        logits_RV[rows_N, ids_N] = torch.where(old_N > 0, old_N / factors_N, old_N * factors_N)
    occurring = [
        (row, (p.frequency_penalty, p.presence_penalty), new)
        for row, p, (_, new) in described
        if p.frequency_penalty != 0 or p.presence_penalty != 0
    ]
    rows_N, ids_N, strengths = _places(occurring, logits_RV.device)
    if len(ids_N):
        each_N, once_N = strengths
        logits_RV.index_put_((rows_N, ids_N), -each_N, accumulate=True)
        logits_RV[rows_N, ids_N] = logits_RV[rows_N, ids_N] - once_N


def _places(
    strengths: Sequence[tuple[int, tuple[float, ...], Sequence[int]]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """All (row, strengths, ids) laid end to end: rows (N,), ids (N,), each strength (.., N)."""
    lengths = torch.tensor([len(ids) for _, _, ids in strengths], dtype=torch.int64)
    rows = torch.tensor([row for row, _, _ in strengths], dtype=torch.int64)
    values = torch.tensor([values for _, values, _ in strengths], dtype=torch.float32)
    every_id = chain.from_iterable(ids for _, _, ids in strengths)
    # Through numpy: torch takes three times as long over a long list.
    ids_N = torch.from_numpy(np.fromiter(every_id, np.int64, int(lengths.sum())))
    return (
        rows.repeat_interleave(lengths).to(device),
        ids_N.to(device),
        values.reshape(len(lengths), -1 if len(lengths) else 0)
        .repeat_interleave(lengths, dim=0)
        .mT.to(device),
    )
