"""What all endpoints share: the model, the engine's thread, the limits, the counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from starlette.requests import Request as HttpRequest

from glassmind.generate import Event, Request
from glassmind.generate.constraint.constraint import Constraint
from glassmind.generate.request import TopLogprobs
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.callers import Caller, caller_of
from glassmind.serve.access.gate import Limits
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import Form
from glassmind.serve.endpoints.sse import unless_gone
from glassmind.serve.work.compiling import Compiler
from glassmind.serve.work.engine_thread import EngineThread, Running
from glassmind.serve.work.metrics import Metrics
from glassmind.serve.work.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

MOST_EMBEDDINGS = 64  # requests of one client that wait for their turn
# Measured bytes of memory, rounded up: of a token in the engine and in the answer, and of each
# log-probability that the answer lists for it.
TOKEN_BYTES = 150
LISTED_BYTES = 650


@dataclass(frozen=True, eq=False)
class Service:
    """A served model with its engine thread, limits and counters."""

    served: LocalLLM
    thread: EngineThread
    limits: Limits
    metrics: Metrics
    compiler: Compiler
    started: int = field(default_factory=lambda: int(time.time()))
    # Embeddings are computed between the engine's steps, one at a time, so that no step waits for
    # many of them.
    embedding_turns: Turns = field(default_factory=lambda: Turns(MOST_EMBEDDINGS, "an embedding"))
    # Encoding a long text takes a while, so it runs beside the event loop. One text is encoded at a
    # time, because a tokenizer caches what it has encoded.
    _texts: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "texts"))

    def check_model(self, name: str) -> None:
        """Refuse a request for another model; a request without a model name is accepted."""
        if name not in ("", self.served.name):
            raise Refusal(
                404,
                f"there is no model {name[:60]!r} here, only {self.served.name!r}",
                param="model",
                code="model_not_found",
            )

    async def text(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``work`` on text."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._texts, lambda: work(*args, **kwargs))

    async def constraint(self, form: Form | None, request: HttpRequest) -> Constraint | None:
        """The constraint for ``form``; cancelled if the client of ``request`` disconnects."""
        if form is None:
            return None
        compiling = self.compiler.constraint(form, caller_of(request).client)
        return await unless_gone(request.receive, compiling)

    async def begin(
        self, requests: Sequence[Request], caller: Caller, *, listed: int = 0
    ) -> Running:
        """Submit ``requests`` to the engine, and charge the memory of their answer to the account
        of ``caller``. ``listed`` is the number of log-probabilities that the answer lists for each
        token. ``cancel`` must be called at the end."""
        caller.account.take(answer_bytes(requests, listed), param="n")
        running = await self.thread.begin(requests, caller.client)
        self.metrics.begun(sum(len(request.prompt_ids) for request in requests))
        return running

    def close(self) -> None:
        """End the threads and processes that ``text`` and ``constraint`` run on."""
        self._texts.shutdown(wait=False, cancel_futures=True)
        self.compiler.close()


def answer_bytes(requests: Sequence[Request], listed: int) -> int:
    """About the most memory that the answer to ``requests`` can take; see ``Service.begin``."""
    per_token = TOKEN_BYTES + listed * LISTED_BYTES
    total = 0
    for request in requests:
        params = request.params
        scored = len(request.prompt_ids) if params.prompt_logprobs else 0
        total += params.drawn_samples * (params.max_new_tokens + scored) * per_token
    return total


@dataclass(slots=True)
class NewTokens:
    """The addition of an event to a sample: ids, log-probabilities, and top tokens if requested."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[TopLogprobs, ...]


class Tail:
    """Follows one sample's events, so that the last one adds only what is new."""

    def __init__(self) -> None:
        self.seen = 0

    def new(self, event: Event) -> NewTokens:
        """The addition of ``event``."""
        done = event.done
        if done is None:
            self.seen += len(event.token_ids)
            return NewTokens(event.token_ids, event.logprobs, event.top_logprobs)
        start, self.seen = self.seen, len(done.token_ids)
        return NewTokens(done.token_ids[start:], done.logprobs[start:], done.top_logprobs[start:])
