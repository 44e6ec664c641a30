"""What is asked of the engine, and what it gives back.

A ``Request`` is a prompt and the way to continue it; the answer is one ``Generation`` per sample.
Both are plain frozen data, so a caller can build ten thousand of them, keep them, and compare them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from glassmind.errors import UserError

# Below this, dividing the logits by the temperature leaves nothing but the largest: ask for 0.
LEAST_TEMPERATURE = 1e-4


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to turn logits into tokens.

    ``temperature`` divides the logits: below 1 sharper, above 1 flatter, exactly 0 takes the
    likeliest token each time (greedy). ``top_k`` then keeps the k likeliest tokens (0 = all; Fan et
    al. 2018, arXiv 1805.04833), and ``top_p`` the smallest set of likeliest tokens whose
    probabilities, after temperature and top-k, sum to at least p (1 = all; Holtzman et al. 2019,
    arXiv 1904.09751). Tokens as likely as the last one kept are kept too.

    A generation ends with the first token in ``stop`` or after ``max_new_tokens``; the model's
    context may end it earlier. ``samples`` independent continuations are drawn per prompt.

    ``seed`` fixes the outcome of this request whatever else runs beside it. Requests with the same
    seed draw the same random numbers, so many problems of one evaluation want a seed each:
    ``derive_seed(run_seed, problem_index)``.

    Raises ``UserError`` for values outside the ranges above.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: frozenset[int] = frozenset()
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.samples < 1:
            raise UserError(f"samples must be at least 1, not {self.samples}")
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise UserError(
                f"temperature must be 0 (greedy) or a number from {LEAST_TEMPERATURE} up, "
                f"not {self.temperature}"
            )
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (keep all) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {self.top_p}")


@dataclass(frozen=True, slots=True)
class Request:
    """Continue ``prompt_ids`` (at least one token) as ``params`` say."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation: its tokens (the stop token included) and what the model thought of them.

    ``logprobs[i]`` is the natural log of the probability the *unmodified* model (temperature 1,
    nothing filtered) gave ``token_ids[i]``. ``finish`` is ``"stop"`` if a stop token ended it and
    ``"length"`` if a limit did.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]
