"""From a request's fields to ``SamplingParams``: defaults and combinations of fields."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from glassmind.errors import UserError
from glassmind.generate import Request, SamplingParams, derive_seed
from glassmind.generate.constraint.constraint import Constraint
from glassmind.generate.request import LEAST_TEMPERATURE
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.endpoints.service import Service
from glassmind.serve.schemas.requests import Sampled


def sampling_params(
    body: Sampled,
    served: LocalLLM,
    *,
    max_tokens: int,
    top_logprobs: int = 0,
    constraint: Constraint | None = None,
    best_of: int = 0,
    prompt_logprobs: bool = False,
) -> SamplingParams:
    """The sampling parameters of ``body``.

    Raises:
        UserError: fields that contradict each other.
    """
    given: dict[str, Any] = {
        "temperature": temperature_of(body.temperature, body.top_p),
        "top_p": body.top_p or None,
        "top_k": None if body.top_k == -1 else body.top_k,
        "min_p": body.min_p,
        "repetition_penalty": body.repetition_penalty,
        "presence_penalty": body.presence_penalty,
        "frequency_penalty": body.frequency_penalty,
    }
    return SamplingParams(
        max_new_tokens=max_tokens,
        samples=body.n or 1,
        best_of=best_of,
        seed=secrets.randbits(62) if body.seed is None else body.seed % (1 << 63),
        stop=stop_ids(body, served),
        min_new_tokens=body.min_tokens or 0,
        stop_texts=stop_texts(body),
        logit_bias=_logit_bias(body, served),
        top_logprobs=top_logprobs,
        prompt_logprobs=prompt_logprobs,
        constraint=constraint,
        calculator=body.calculator or False,
        lookup=0 if constraint is not None or body.min_tokens else body.lookup or 0,
        **{name: value for name, value in given.items() if value is not None},
    )


def temperature_of(temperature: float | None, top_p: float | None = None) -> float | None:
    """The temperature, or 0 if it or ``top_p`` is so small that only one token remains."""
    if top_p == 0 or (temperature is not None and temperature < LEAST_TEMPERATURE):
        return 0.0
    return temperature


def stop_ids(body: Sampled, served: LocalLLM) -> frozenset[int]:
    """Tokens that end an answer.

    Raises:
        Refusal: the request names an id that the model does not have.
    """
    asked = body.stop_token_ids or ()
    if max(asked, default=0) >= served.model.config.vocab_size:
        raise Refusal(
            400,
            f"stop_token_ids names the id {max(asked)}, which {served.name} does not have",
            param="stop_token_ids",
        )
    return frozenset(asked) | (frozenset() if body.ignore_eos else served.stop_ids)


def stop_texts(body: Sampled) -> tuple[str, ...]:
    """Texts that end an answer."""
    if body.stop is None:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(dict.fromkeys(body.stop))


def requests(prompts: Sequence[Sequence[int]], params: SamplingParams) -> list[Request]:
    """One request per prompt. The first has the seed of ``params``, as it would alone; the others
    have seeds derived from it."""
    return [
        Request(
            tuple(prompt),
            params if number == 0 else replace(params, seed=derive_seed(params.seed, number)),
        )
        for number, prompt in enumerate(prompts)
    ]


def check_room(service: Service, prompt: Sequence[int], asked: int | None, most: int) -> int:
    """The limit on the answer to ``prompt``, in tokens: the requested one or ``most``, and at most
    what remains of the context.

    Raises:
        Refusal: the prompt is empty or fills the context.
    """
    served, context = service.served, service.thread.context
    room = context - len(prompt)
    if not prompt:
        raise Refusal(400, "the prompt is empty; it needs at least one token", param="prompt")
    if max(prompt) >= served.model.config.vocab_size:
        raise Refusal(
            400,
            f"the prompt holds the token id {max(prompt)}; ids of {served.name} end at "
            f"{served.model.config.vocab_size - 1}",
            param="prompt",
        )
    if room < 1:
        raise Refusal(
            400,
            f"the prompt has {len(prompt)} tokens and the context holds {context}, including the "
            "answer",
            code="context_length_exceeded",
        )
    return min(room, most if asked is None else max(1, asked))  # the engine draws at least one


def _logit_bias(body: Sampled, served: LocalLLM) -> tuple[tuple[int, float], ...]:
    biases = []
    for text, bias in (body.logit_bias or {}).items():
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise UserError(f"logit_bias must map token ids to numbers; {text[:20]!r} is not an id")
        if int(text) >= served.model.config.vocab_size:
            raise UserError(f"logit_bias names the id {text}, which {served.name} does not have")
        biases.append((int(text), bias))
    return tuple(biases)
