"""What is answered piece by piece: the events of streams, for ``/openapi.json``.

An endpoint that can stream has two answers of status 200, told apart by their media type. OpenAPI
describes the second by one of its events (``itemSchema``, from version 3.2 on; older readers pass
over it): an object whose ``data`` is a text of JSON, or ``[DONE]`` at the end.
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
    """A call of a tool, and which of the reply's calls it is."""

    index: int


class Delta(Exact):
    """What an event adds to a reply."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[NumberedCall] | None = None


class ChatChunkChoice(Exact):
    """An addition to one reply; ``finish_reason`` stands in the last."""

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
    """Chains of thought begin."""

    type: Literal["start"]
    question: str
    samples: int


class ReasonStep(Exact):
    """Chain ``sample`` has closed a step."""

    type: Literal["step"]
    sample: int
    step: int
    text: str


class ReasonChain(Chain):
    """A chain is complete; with the votes so far."""

    type: Literal["chain"]
    votes: dict[str, int]
    weighted: dict[str, float]


class ReasonAnswer(Reason):
    """The end: everything."""

    type: Literal["answer"]


EVENTS: dict[str, tuple[type[BaseModel], ...]] = {
    "Completion": (Completion,),
    "Chat": (ChatChunk,),
    "Reason": (ReasonStart, ReasonStep, ReasonChain, ReasonAnswer),
}
"""The events by the name of the answer that they add up to; any may be followed by an ``Error``."""

_PLACE = "#/components/schemas/{model}"


def of(name: str) -> dict[int | str, JsonObject]:
    """What an endpoint may answer that can stream the answer ``name``."""
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
    """Let the description of ``app`` hold the events, to which ``of`` refers."""
    without_events = app.openapi

    def with_events() -> JsonObject:
        document = without_events()
        models = [(model, "serialization") for events in EVENTS.values() for model in events]
        _, defined = models_json_schema(models, ref_template=_PLACE)  # type: ignore[arg-type]
        document["components"]["schemas"].update(defined["$defs"])
        return document

    app.openapi = with_events  # type: ignore[method-assign]
