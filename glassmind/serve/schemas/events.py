"""The events of streams, for ``/openapi.json``.

An endpoint that can stream has two responses of status 200 with different media types. OpenAPI
describes the second by one of its events (``itemSchema``, from version 3.2 on; older readers ignore
it): an object whose ``data`` is JSON text, or ``[DONE]`` at the end.
"""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from glassmind.serialization import JsonObject
from glassmind.serve.schemas import responses as response_schema
from glassmind.serve.schemas.responses import (
    Call,
    Chain,
    ChatLogprobs,
    Completion,
    Error,
    Exact,
    Reason,
    Usage,
)


class NumberedCall(Call):
    """A call of a tool, and its index among the reply's calls."""

    index: int


class Delta(Exact):
    """The addition of one event to a reply."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[NumberedCall] | None = None


class ChatChunkChoice(Exact):
    """An addition to one reply; the last has the ``finish_reason``."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls"] | None


class ChatChunk(Exact):
    """An event of ``/v1/chat/completions``."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class ReasonStart(Exact):
    """The start of the chains of thought."""

    type: Literal["start"]
    question: str
    method: str
    samples: int


class ReasonStep(Exact):
    """Chain ``sample`` has finished a step."""

    type: Literal["step"]
    sample: int
    step: int
    text: str


class ReasonChain(Chain):
    """A chain is complete, with the votes so far."""

    type: Literal["chain"]
    votes: dict[str, int]
    weighted: dict[str, float]


class ReasonAnswer(Reason):
    """The end: the complete answer."""

    type: Literal["answer"]


EVENTS: dict[str, tuple[type[BaseModel], ...]] = {
    "Completion": (Completion,),
    "Chat": (ChatChunk,),
    "Reason": (ReasonStart, ReasonStep, ReasonChain, ReasonAnswer),
}
"""The events by the name of the response they form; any may be followed by an ``Error``."""

_PLACE = "#/components/schemas/{model}"


def of(name: str) -> dict[int | str, JsonObject]:
    """The responses of an endpoint that can stream the response ``name``."""
    models: list[type[BaseModel]] = [*EVENTS[name], Error]
    events = [{"$ref": _PLACE.format(model=model.__name__)} for model in models]
    data = [
        {"const": "[DONE]"},
        {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": events},
        },
    ]
    event = {"type": "object", "properties": {"data": {"anyOf": data}}, "required": ["data"]}
    answers = response_schema.of(name)
    answers[200]["content"] = {"text/event-stream": {"itemSchema": event}}
    return answers


def describe(app: FastAPI) -> None:
    """Add the events, to which ``of`` refers, to the OpenAPI schema of ``app``."""
    without_events = app.openapi

    def with_events() -> JsonObject:
        document = without_events()
        models = [(model, "serialization") for events in EVENTS.values() for model in events]
        _, defined = models_json_schema(models, ref_template=_PLACE)  # type: ignore[arg-type]
        document["components"]["schemas"].update(defined["$defs"])
        return document

    app.openapi = with_events  # type: ignore[method-assign]
