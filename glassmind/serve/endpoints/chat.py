"""``/v1/chat/completions``: the next message of a conversation.

The model's reasoning is returned separately from the answer, as ``reasoning_content``, the name
that most servers and clients use.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.generate.request import TopLogprobs
from glassmind.llm.reply_reader import Piece, ReplyReader
from glassmind.serialization import JsonObject
from glassmind.serve.access.callers import caller_of
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import Form, asked_form
from glassmind.serve.endpoints.chat_messages import prompt_of
from glassmind.serve.endpoints.service import NewTokens, Service, Tail
from glassmind.serve.endpoints.sse import Events, respond
from glassmind.serve.sampling import check_room, requests, sampling_params, stop_texts
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import ChatRequest
from glassmind.serve.work.call_formats import MARKERS
from glassmind.serve.work.engine_thread import Running
from glassmind.serve.work.tool_calls import ToolCallReader, forced_schema, schemas_of, tools_of


@dataclass(slots=True)
class _Choice:
    """One reply in progress."""

    reader: ReplyReader
    calls: ToolCallReader
    tail: Tail = field(default_factory=Tail)
    n_calls: int = 0
    finish: str | None = None


@dataclass(slots=True)
class _Delta:
    """The addition of one event to a reply."""

    index: int
    content: str = ""
    reasoning: str = ""
    calls: list[JsonObject] = field(default_factory=list)
    logprobs: list[JsonObject] = field(default_factory=list)


class _Answer:
    """The answer to one request, with one choice per sample."""

    def __init__(
        self,
        service: Service,
        body: ChatRequest,
        prompt: Sequence[int],
        tools: Sequence[JsonObject],
        *,
        forced: bool,
    ) -> None:
        self._service, self._served, self._body = service, service.served, body
        self._prompt_tokens = len(prompt)
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        silent = body.stop_token_ids or ()
        spelled = service.served.special_ids(MARKERS) if tools else ()
        parallel = body.parallel_tool_calls is not False
        self._choices = [
            _Choice(
                ReplyReader(
                    service.served, prompt, stop_texts(body), silent=silent, spelled=spelled
                ),
                ToolCallReader(schemas_of(tools), forced=forced, parallel=parallel),
            )
            for _ in range(body.n or 1)
        ]

    async def whole(self, running: Running) -> JsonObject:
        """The complete response, when all samples are done."""
        messages: list[JsonObject] = [{"role": "assistant", "content": ""} for _ in self._choices]
        logprobs: list[list[JsonObject]] = [[] for _ in self._choices]
        async for delta in self._deltas(running):
            message = messages[delta.index]
            message["content"] += delta.content
            if delta.reasoning:
                message["reasoning_content"] = (
                    message.get("reasoning_content", "") + delta.reasoning
                )
            if delta.calls:
                message.setdefault("tool_calls", []).extend(delta.calls)
            logprobs[delta.index] += delta.logprobs
        for message in messages:
            if "tool_calls" in message and not message["content"].strip():
                message["content"] = None
        choices = [
            {
                "index": index,
                "message": message,
                "logprobs": {"content": logprobs[index]} if self._body.logprobs else None,
                "finish_reason": self._choices[index].finish,
            }
            for index, message in enumerate(messages)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    async def streamed(self, running: Running) -> Events:
        """The response as chunks."""
        head = self._head("chat.completion.chunk")
        for index in range(len(self._choices)):
            yield {**head, "choices": [_chunk(index, {"role": "assistant", "content": ""})]}
        async for delta in self._deltas(running):
            said: JsonObject = {}
            if delta.reasoning:
                said["reasoning_content"] = delta.reasoning
            if delta.content:
                said["content"] = delta.content
            if delta.calls:
                first = self._choices[delta.index].n_calls - len(delta.calls)
                said["tool_calls"] = [
                    {"index": first + number, **call} for number, call in enumerate(delta.calls)
                ]
            chunk = _chunk(delta.index, said, self._choices[delta.index].finish)
            if delta.logprobs:
                chunk["logprobs"] = {"content": delta.logprobs}
            yield {**head, "choices": [chunk]}
        options = self._body.stream_options
        if options is not None and options.include_usage:
            yield {**head, "choices": [], "usage": self._usage()}

    async def _deltas(self, running: Running) -> AsyncGenerator[_Delta, None]:
        """The additions of all events that have any."""
        async for _, event in running:
            choice, done = self._choices[event.sample], event.done
            new = choice.tail.new(event)
            self._service.metrics.tokens(len(new.ids))
            delta = _Delta(event.sample)
            self._read(choice, new, delta)
            if done is not None:
                self._add(choice, delta, choice.reader.end(done.stopped_by))
                for part in choice.calls.end():
                    self._say(choice, delta, part)
                choice.finish = "tool_calls" if choice.n_calls else done.finish
            if done or delta.content or delta.reasoning or delta.calls or delta.logprobs:
                yield delta

    def _read(self, choice: _Choice, new: NewTokens, delta: _Delta) -> None:
        tops: tuple[TopLogprobs, ...] = new.top or ((),) * len(new.ids)
        for token_id, logprob, top in zip(new.ids, new.logprobs, tops, strict=True):
            self._add(choice, delta, choice.reader.see((token_id,)))
            shown = choice.reader.channel == "content" and self._served.token_bytes[token_id]
            if self._body.logprobs and shown:
                listed = [self._token(other, of_other) for other, of_other in top]
                delta.logprobs.append({**self._token(token_id, logprob), "top_logprobs": listed})

    def _add(self, choice: _Choice, delta: _Delta, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.channel == "reasoning":
                delta.reasoning += piece.text
                continue
            for part in choice.calls.see(piece.text):
                self._say(choice, delta, part)

    def _say(self, choice: _Choice, delta: _Delta, part: str | JsonObject) -> None:
        if isinstance(part, str):
            delta.content += part
        else:
            choice.n_calls += 1
            delta.calls.append(part)

    def _token(self, token_id: int, logprob: float) -> JsonObject:
        data = self._served.token_bytes[token_id]
        return {"token": self._served.spelling(token_id), "logprob": logprob, "bytes": list(data)}

    def _head(self, kind: str) -> JsonObject:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._served.name,
        }

    def _usage(self) -> JsonObject:
        reasoning = sum(choice.reader.tokens["reasoning"] for choice in self._choices)
        tokens = reasoning + sum(choice.reader.tokens["content"] for choice in self._choices)
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self._prompt_tokens + tokens,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }


def _chunk(index: int, delta: JsonObject, finish: str | None = None) -> JsonObject:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def routes(service: Service) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.post(
        "/v1/chat/completions",
        response_model=None,
        responses=event_schema.of("Chat"),
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Answer the last message of a conversation."""
        service.check_model(body.model)
        served, tools = service.served, tools_of(body)
        forced = forced_schema(body, tools)
        if body.top_logprobs and not body.logprobs:
            raise Refusal(400, "top_logprobs needs logprobs: true", param="top_logprobs")
        form = asked_form(body) if forced is None else Form("schema", forced, "tool_choice")
        constraint = await service.constraint(form, request)
        prompt = await service.text(
            prompt_of, served, body, tools, constrained=constraint is not None
        )
        asked = body.max_completion_tokens or body.max_tokens
        params = sampling_params(
            body,
            served,
            max_tokens=check_room(service, prompt, asked, service.limits.max_tokens),
            top_logprobs=body.top_logprobs or 0,
            constraint=constraint,
        )
        answer = _Answer(service, body, prompt, tools, forced=forced is not None)
        listed = 1 + params.top_logprobs if body.logprobs else 0
        running = await service.begin(requests([prompt], params), caller_of(request), listed=listed)
        return await respond(answer, running, request, stream=bool(body.stream))

    return router
