"""Best-of-n: more samples are drawn than are returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.generate.request import Generation, SamplingParams


class BestOf:
    """Collects the samples of one request, then chooses the best by mean log-probability."""

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._done: list[tuple[int, Generation]] = []

    def add(self, number: int, generation: Generation) -> list[Generation]:
        """Sample ``number`` is done. Returns the best, best first, once all are done.

        The prompt was scored with sample 0; the first of the best gets those log-probabilities.
        """
        self._done.append((number, generation))
        if len(self._done) < self._params.drawn_samples:
            return []
        scored = next(generation for number, generation in self._done if number == 0)
        # Between equals, the lower sample number wins.
        self._done.sort(key=lambda one: (-_mean(one[1].logprobs), one[0]))
        first, *others = (generation for _, generation in self._done[: self._params.samples])
        return [
            replace(
                first,
                prompt_logprobs=scored.prompt_logprobs,
                prompt_top_logprobs=scored.prompt_top_logprobs,
            ),
            *(replace(other, prompt_logprobs=(), prompt_top_logprobs=()) for other in others),
        ]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / max(1, len(numbers))
