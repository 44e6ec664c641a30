"""What the engine is asked, and what it answers.

A ``Request`` is a prompt and how to continue it; the answer is one ``Generation`` per sample. Both
are plain frozen data, so a caller can build ten thousand of them, keep them, and compare them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from glassmind.errors import UserError
from glassmind.runs.recipe import MOST_SAMPLES, CalculatorUse, SamplingConfig, calculator_use

if TYPE_CHECKING:
    from glassmind.generate.constraint.constraint import Constraint
    from glassmind.generate.thinking_budget import ThinkingBudget

# Below this, only the largest logit has any probability left: that is temperature 0.
LEAST_TEMPERATURE = 1e-4

# Bounds on what one request may cost in addition to its tokens.
MOST_STOP_TEXTS = 16
LONGEST_STOP_TEXT = 256  # characters
MOST_BIASES = 1024
MOST_TOP_LOGPROBS = 20
MOST_GUESSES = 32


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to turn logits into tokens.

    What is done to the logits, in this order:

    1. ``logit_bias``: pairs (token id, -100 to 100) that are added. 100 all but forces a token.
    2. ``repetition_penalty`` (CTRL: Keskar et al. 2019, arXiv 1909.05858): the logit of every token
       that occurs in the prompt or the continuation is divided by it where positive and multiplied
       where negative; 1 changes nothing. Then the penalties of the OpenAI API, which look at the
       continuation alone: ``frequency_penalty`` is subtracted once per occurrence and
       ``presence_penalty`` once if there is any (-2 to 2 each).
    3. ``constraint``: only the tokens it allows remain.
    4. ``temperature`` divides the logits: below 1 sharper, above 1 flatter. Exactly 0 takes the
       likeliest token each time (greedy); 5 to 7 then have no effect.
    5. ``top_k`` keeps the k likeliest tokens (0 = all; Fan et al. 2018, arXiv 1805.04833).
    6. ``top_p`` keeps the smallest set of likeliest tokens whose probabilities, after all of the
       above, sum to at least p (1 = all; Holtzman et al. 2019, arXiv 1904.09751).
    7. ``min_p`` keeps the tokens at least ``min_p`` times as probable as the likeliest (0 = all;
       Nguyen et al. 2024, arXiv 2407.01082).

    In 5 and 6, tokens exactly as likely as the last one kept are kept as well. The order is that of
    ``transformers``; vLLM applies 7 before 5.

    A generation ends with the first token in ``stop`` (none of which is drawn before there are
    ``min_new_tokens``), or when its text contains one of ``stop_texts`` (which may span tokens), or
    after ``max_new_tokens``; the model's context may end it earlier. ``samples`` independent
    continuations are returned per prompt. With ``best_of``, that many are drawn and the best
    ``samples`` by mean log-probability returned.

    ``seed`` fixes the outcome of this request, whatever else is running. Requests with the same
    seed use the same random numbers, so give each problem of an evaluation its own:
    ``derive_seed(run_seed, problem_index)``.

    ``top_logprobs`` (0 to 20) asks for the likeliest tokens at each position, and
    ``prompt_logprobs`` for the log-probabilities of the prompt's tokens. ``calculator`` lets
    arithmetic, instead of the model, complete ``<<48/2=`` (``"annotations"``, or ``True``) or every
    ``48/2=`` (``"equations"``). ``lookup`` (0 to 32) guesses up to that
    many tokens at a time from the text so far, which changes no token but may save passes (see
    ``prompt_lookup``); it cannot be combined with a constraint, the calculator, ``thinking`` or
    ``min_new_tokens``. ``thinking`` bounds how long a model thinks before it answers.

    Raises ``UserError`` for values outside the ranges above.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: frozenset[int] = frozenset()
    samples: int = 1
    seed: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop_texts: tuple[str, ...] = ()
    best_of: int = 0
    top_logprobs: int = 0
    prompt_logprobs: bool = False
    constraint: Constraint | None = None
    calculator: bool | CalculatorUse = "off"
    lookup: int = 0
    min_new_tokens: int = 0
    thinking: ThinkingBudget | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.min_new_tokens < 0:
            raise UserError(f"min_new_tokens must be 0 or more, not {self.min_new_tokens}")
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise UserError(f"samples must be from 1 to {MOST_SAMPLES}, not {self.samples}")
        if self.best_of and not self.samples <= self.best_of <= MOST_SAMPLES:
            raise UserError(
                f"best_of must be 0 (as many as samples) or from samples, here {self.samples}, "
                f"to {MOST_SAMPLES}, not {self.best_of}"
            )
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise UserError(
                f"temperature must be 0 (greedy) or a number from {LEAST_TEMPERATURE} up, "
                f"not {self.temperature}"
            )
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (keep all) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise UserError(f"min_p must be from 0 (keep all) to 1, not {self.min_p}")
        if not 0.01 <= self.repetition_penalty <= 100:
            raise UserError(
                "repetition_penalty must be from 0.01 to 100 (1 changes nothing), "
                f"not {self.repetition_penalty}"
            )
        for name in ("presence_penalty", "frequency_penalty"):
            if not -2 <= getattr(self, name) <= 2:
                raise UserError(f"{name} must be from -2 to 2, not {getattr(self, name)}")
        if not 0 <= self.top_logprobs <= MOST_TOP_LOGPROBS:
            raise UserError(
                f"top_logprobs must be from 0 to {MOST_TOP_LOGPROBS}, not {self.top_logprobs}"
            )
        if self.calculator_use not in get_args(CalculatorUse):
            raise UserError(
                f"calculator must be true, false or one of {', '.join(get_args(CalculatorUse))}, "
                f"not {self.calculator!r}"
            )
        if not 0 <= self.lookup <= MOST_GUESSES:
            raise UserError(f"lookup must be from 0 (none) to {MOST_GUESSES}, not {self.lookup}")
        self._check_logit_bias()
        self._check_stop_texts()

    def _check_logit_bias(self) -> None:
        if len(self.logit_bias) > MOST_BIASES:
            raise UserError(
                f"logit_bias has {len(self.logit_bias)} entries; at most {MOST_BIASES} are allowed"
            )
        for token_id, bias in self.logit_bias:
            if not -100 <= bias <= 100:
                raise UserError(
                    f"logit_bias of token {token_id} must be from -100 to 100, not {bias}"
                )
        if len({token_id for token_id, _ in self.logit_bias}) < len(self.logit_bias):
            raise UserError("logit_bias names a token twice; give each token one entry")

    def _check_stop_texts(self) -> None:
        if isinstance(self.stop_texts, str):
            raise UserError("stop_texts must be a tuple of texts, not one text")
        if len(self.stop_texts) > MOST_STOP_TEXTS:
            raise UserError(
                f"stop_texts has {len(self.stop_texts)} entries; the limit is {MOST_STOP_TEXTS}"
            )
        for text in self.stop_texts:
            if not 1 <= len(text) <= LONGEST_STOP_TEXT:
                raise UserError(
                    f"each of stop_texts must have 1 to {LONGEST_STOP_TEXT} characters; "
                    f"one has {len(text)}"
                )
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise UserError("one of stop_texts has half a surrogate pair; it is not text")

    @classmethod
    def of(
        cls,
        config: SamplingConfig,
        *,
        seed: int,
        stop: frozenset[int] = frozenset(),
        greedy: bool = False,
    ) -> SamplingParams:
        """The parameters that the ``[sampling]`` table of a recipe sets.

        ``greedy`` is for methods that sample a single, greedy chain. It uses only
        ``max_new_tokens`` and ``calculator`` of the table.
        """
        if greedy:
            return cls(
                config.max_new_tokens,
                temperature=0.0,
                seed=seed,
                stop=stop,
                calculator=calculator_use(config.calculator),
            )
        return cls(
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            samples=config.samples,
            seed=seed,
            stop=stop,
            calculator=calculator_use(config.calculator),
        )

    @property
    def calculator_use(self) -> CalculatorUse:
        """``calculator`` in words."""
        return calculator_use(self.calculator)

    @property
    def drawn_samples(self) -> int:
        """How many continuations are drawn; ``samples`` of them are returned."""
        return self.best_of or self.samples

    @property
    def penalised(self) -> bool:
        """Whether what to draw depends on the tokens so far."""
        return (
            self.repetition_penalty != 1
            or self.presence_penalty != 0
            or self.frequency_penalty != 0
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Continue ``prompt_ids`` (at least one token) as ``params`` say."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams


TopLogprobs = tuple[tuple[int, float], ...]
"""The likeliest tokens at one place, likeliest first: (id, natural log of its probability)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation: its tokens (the stop token included) and how probable they were.

    ``logprobs[i]`` is the natural log of the probability that the *unmodified* model (temperature
    1, nothing filtered, biased, penalised or constrained) gave ``token_ids[i]``;
    ``top_logprobs[i]`` are the likeliest tokens there under the same model (empty unless asked
    for).

    ``sampled_logprobs[i]`` is the natural log of the probability that ``token_ids[i]`` had in the
    distribution it was drawn from: biases, penalties, constraint, temperature and filters applied,
    and what they leave renormalised. It is the denominator of an importance ratio. Guesses (a draft
    model's or looked-up ones) do not change that distribution, so they do not change this number.
    Where there was no choice it is 0, probability 1: for every token of a greedy request, and for
    every forced token.

    ``finish`` is ``"stop"`` if a stop token, a stop text (then ``stopped_by``) or the end of what
    a constraint allows ended it, ``"length"`` if a limit did (or a constraint that no token of the
    vocabulary could go on to keep), ``"cancelled"`` if the caller did. ``forced[i]`` says that a
    tool or a constraint, not the model, chose ``token_ids[i]``; empty means none. A
    request with ``stop_texts`` gets ``text``: what comes before the stop text.

    ``prompt_logprobs`` and ``prompt_top_logprobs`` have an entry for every token of the prompt but
    the first, which has nothing before it to predict it. Of the samples of a request, the first
    has them.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length", "cancelled"]
    sampled_logprobs: tuple[float, ...] = ()
    forced: tuple[bool, ...] = ()
    top_logprobs: tuple[TopLogprobs, ...] = ()
    prompt_logprobs: tuple[float, ...] = ()
    prompt_top_logprobs: tuple[TopLogprobs, ...] = ()
    stopped_by: str | None = None
    text: str | None = None
