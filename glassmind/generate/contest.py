"""The best of many samples: more are drawn than are returned."""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.generate.request import Generation, SamplingParams


class Contest:
    """The samples of one request of which the best are chosen."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._entries: list[tuple[int, Generation]] = []

    def enter(self, number: int, generation: Generation) -> list[Generation]:
        """Sample ``number`` is done; the best, best first, once all are."""
        self._entries.append((number, generation))
        if len(self._entries) < self._params.drawn_samples:
            return []
        # Of equals the one drawn first.
        self._entries.sort(key=lambda entry: (-_mean(entry[1].logprobs), entry[0]))
        return [generation for _, generation in self._entries[: self._params.samples]]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / max(1, len(numbers))
