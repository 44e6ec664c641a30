"""``/v1/completions``: the continuation of a text.

The oldest of OpenAI's endpoints, and the one that evaluation harnesses use: with ``echo`` and
``logprobs`` it returns the log-probability of every token of a text, which is all that a
multiple-choice benchmark needs.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.generate import Generation
from glassmind.generate.request import TopLogprobs
from glassmind.llm.local import LocalLLM
from glassmind.llm.reply_reader import ReplyReader
from glassmind.serialization import JsonObject
from glassmind.serve.access.callers import caller_of
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import asked_form
from glassmind.serve.endpoints.service import NewTokens, Service, Tail
from glassmind.serve.endpoints.sse import Events, respond
from glassmind.serve.sampling import check_room, requests, sampling_params, stop_texts
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import MAX_CHOICES, CompletionRequest, Prompt
from glassmind.serve.work.engine_thread import Running

DEFAULT_TOKENS = 16  # OpenAI's default


def prompts_of(served: LocalLLM, prompt: Prompt, *, special: bool = True) -> list[list[int]]:
    """Ids of every prompt in a request; with ``special``, after the token that begins a text."""
    if isinstance(prompt, str):
        return [served.text_prompt(prompt, special=special)]
    first = prompt[0]
    if isinstance(first, int):
        return [list(prompt)]  # type: ignore[arg-type]
    return [
        served.text_prompt(one, special=special) if isinstance(one, str) else list(one)  # type: ignore[arg-type]
        for one in prompt
    ]


@dataclass(slots=True)
class _Choice:
    """One continuation in progress."""

    reader: ReplyReader
    tail: Tail = field(default_factory=Tail)
    written: int = 0  # characters, for text_offset
    finish: str | None = None
    done: Generation | None = None


class _Answer:
    """The answer to one request, with one choice per prompt and sample."""

    def __init__(
        self, service: Service, body: CompletionRequest, prompts: Sequence[Sequence[int]]
    ) -> None:
        self._served, self._service, self._body = service.served, service, body
        self._prompts, self._samples = prompts, body.n or 1
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": service.served.name,
        }
        stops = stop_texts(body)
        self._choices = [
            _Choice(
                ReplyReader(
                    service.served,
                    prompt,
                    stops,
                    channels=False,
                    silent=body.stop_token_ids or (),
                ),
                written=sum(map(self._width, prompt)) if body.echo else 0,
            )
            for prompt in prompts
            for _ in range(self._samples)
        ]
        self._only_prompt = body.max_tokens == 0  # the engine draws one token, which is not shown
        self._tokens = 0

    async def whole(self, running: Running) -> JsonObject:
        """The complete response, when all samples are done."""
        parts: list[list[JsonObject]] = [[] for _ in self._choices]
        async for index, part in self._parts(running):
            parts[index].append(part)
        choices = []
        for index, of in enumerate(parts):
            logprobs = None
            if self._body.logprobs is not None:
                listed = [self._prompt_logprobs(index), *(part["logprobs"] for part in of)]
                logprobs = {name: [x for one in listed for x in one[name]] for name in listed[0]}
            choices.append(
                {
                    "index": index,
                    "text": "".join(part["text"] for part in of),
                    "logprobs": logprobs,
                    "finish_reason": self._choices[index].finish,
                }
            )
        return {**self._head, "choices": choices, "usage": self._usage()}

    async def streamed(self, running: Running) -> Events:
        """The response as chunks."""
        async for index, part in self._parts(running):
            choice = {"index": index, **part, "finish_reason": self._choices[index].finish}
            yield {**self._head, "choices": [choice]}
        options = self._body.stream_options
        if options is not None and options.include_usage:
            yield {**self._head, "choices": [], "usage": self._usage()}

    async def _parts(self, running: Running) -> Any:
        """(index of the choice, {"text", "logprobs"}) for every event with an addition."""
        async for number, event in running:
            index = number * self._samples + event.sample
            choice, done = self._choices[index], event.done
            text, logprobs = "", _no_logprobs()
            if self._body.echo and choice.tail.seen == 0:
                text = self._prompt_text(number)
            new = choice.tail.new(event)
            if not self._only_prompt:
                self._tokens += len(new.ids)
                self._service.metrics.tokens(len(new.ids))
                pieces = choice.reader.see(new.ids)
                if done is not None:
                    pieces += choice.reader.end(done.stopped_by)
                text += "".join(piece.text for piece in pieces)
                if self._body.logprobs is not None:
                    self._add(logprobs, choice, new)
            if done is not None:
                choice.finish = "length" if self._only_prompt else done.finish
                choice.done = done
            if text or done is not None or logprobs["tokens"]:
                yield (
                    index,
                    {
                        "text": text,
                        "logprobs": logprobs if self._body.logprobs is not None else None,
                    },
                )

    def _prompt_text(self, number: int) -> str:
        prompt = self._body.prompt
        if isinstance(prompt, str):
            return prompt
        if isinstance(prompt[number], str):
            return str(prompt[number])
        known = [i for i in self._prompts[number] if i < self._served.tokenizer.vocab_size]
        return self._served.tokenizer.decode(known)

    def _add(self, logprobs: dict[str, list[Any]], choice: _Choice, new: NewTokens) -> None:
        tops = new.top or ((),) * len(new.ids)
        for token_id, logprob, top in zip(new.ids, new.logprobs, tops, strict=True):
            self._add_token(logprobs, choice, token_id, logprob, top)

    def _prompt_logprobs(self, index: int) -> dict[str, list[Any]]:
        """The log-probabilities of echoed prompt tokens; known when all samples are done."""
        logprobs, choice = _no_logprobs(), self._choices[index]
        if self._body.echo:
            number = index // self._samples
            prompt, done = self._prompts[number], self._choices[number * self._samples].done
            assert done is not None  # all samples of a prompt are done; the first has the values
            choice.written = 0
            self._add_token(logprobs, choice, prompt[0], None, None)
            tops = done.prompt_top_logprobs or ((),) * len(done.prompt_logprobs)
            for token_id, logprob, top in zip(prompt[1:], done.prompt_logprobs, tops, strict=True):
                self._add_token(logprobs, choice, token_id, logprob, top)
        return logprobs

    def _add_token(
        self,
        logprobs: dict[str, list[Any]],
        choice: _Choice,
        token_id: int,
        logprob: float | None,
        top: TopLogprobs | None,
    ) -> None:
        spelling = self._served.spelling(token_id)
        logprobs["tokens"].append(spelling)
        logprobs["token_logprobs"].append(logprob)
        table: dict[str, float] = {}
        for other, of_other in top or ():
            table.setdefault(self._served.spelling(other), of_other)
        logprobs["top_logprobs"].append(None if top is None else table)
        logprobs["text_offset"].append(choice.written)
        choice.written += self._width(token_id)

    def _width(self, token_id: int) -> int:
        """Characters that a token adds to a text."""
        return len(self._served.spelling(token_id)) if self._served.token_bytes[token_id] else 0

    def _usage(self) -> dict[str, int]:
        read = sum(map(len, self._prompts))
        return {
            "prompt_tokens": read,
            "completion_tokens": self._tokens,
            "total_tokens": read + self._tokens,
        }


def _no_logprobs() -> dict[str, list[Any]]:
    return {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}


def routes(service: Service) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.post(
        "/v1/completions",
        response_model=None,
        responses=event_schema.of("Completion"),
    )
    async def complete(body: CompletionRequest, request: Request) -> Response:
        """Continue one prompt or several."""
        service.check_model(body.model)
        samples, best_of = body.n or 1, body.best_of or 0
        if best_of and best_of < samples:
            raise Refusal(400, "best_of must not be less than n", param="best_of")
        if best_of > samples and body.stream:
            raise Refusal(400, "best_of cannot be streamed: the best are known only at the end")
        if body.stream and body.echo and body.logprobs is not None:
            raise Refusal(400, "echo with logprobs cannot be streamed", param="stream")
        served = service.served
        special = body.add_special_tokens is not False
        prompts = await service.text(prompts_of, served, body.prompt, special=special)
        if len(prompts) * max(samples, best_of) > MAX_CHOICES * 8:
            raise Refusal(400, f"at most {MAX_CHOICES * 8} samples per request", param="n")
        asked = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
        params = sampling_params(
            body,
            served,
            max_tokens=min(check_room(service, prompt, asked, asked) for prompt in prompts),
            top_logprobs=body.logprobs or 0,
            constraint=await service.constraint(asked_form(body), request),
            best_of=best_of if best_of > samples else 0,
            prompt_logprobs=body.echo is True and body.logprobs is not None,
        )
        listed = 0 if body.logprobs is None else 1 + body.logprobs
        running = await service.begin(requests(prompts, params), caller_of(request), listed=listed)
        answer = _Answer(service, body, prompts)
        return await respond(answer, running, request, stream=bool(body.stream))

    return router
