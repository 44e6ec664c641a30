"""Cutting a list of requests into waves: batches that fit in memory and waste little.

Requests are sorted by the length of their prompts, so that a right-padded batch has little padding,
and cut so that a wave obeys both limits:

    rows of the wave                                     <= max_rows
    N prompts · longest + R rows · most new tokens       <= max_cached_tokens

Each cached token costs ``2 · n_layers · n_kv_heads · head_dim`` numbers (its key and its value in
every layer), which turns the second limit into bytes. One row is always allowed. A request with
more samples than a wave may hold is spread over several; otherwise its samples stay together,
since they share their prompt's cache.

Production engines admit a new row the moment one leaves (continuous batching: Yu et al. 2022,
"Orca"); waves are simpler and lose little while the rows of a batch have similar lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.generate.request import Request


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a request that one wave does: samples ``first`` to ``first + count - 1``."""

    request: int
    first: int
    count: int


def cut_into_waves(
    requests: Sequence[Request], max_rows: int, max_cached_tokens: int
) -> list[list[Share]]:
    """Every sample of every request in exactly one share; waves of ascending prompt length."""
    total_rows = sum(request.params.samples for request in requests)
    # Three even waves rather than two full ones and a rest.
    even_rows = -(-total_rows // max(1, -(-total_rows // max_rows)))
    waves: list[list[Share]] = []
    wave: list[Share] = []
    rows = most_new = 0
    by_length = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt_ids))
    for index in by_length:
        request = requests[index]
        length, params = len(request.prompt_ids), request.params
        first = 0
        while first < params.samples:
            left = params.samples - first
            new = max(most_new, params.max_new_tokens)
            room_in_cache = (max_cached_tokens - (len(wave) + 1) * length) // new
            fits_whole = rows + left <= max_rows and rows + left <= room_in_cache
            if wave and (not fits_whole or rows >= even_rows):
                waves.append(wave)
                wave, rows, most_new = [], 0, 0
                continue
            count = left if fits_whole else max(1, min(left, max_rows, room_in_cache))
            wave.append(Share(index, first, count))
            first += count
            rows += count
            most_new = new
    if wave:
        waves.append(wave)
    return waves
