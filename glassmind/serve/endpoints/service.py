"""What all endpoints share: the model, the engine's thread, the limits, the counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from glassmind.generate import Event, Request
from glassmind.generate.request import TopLogprobs
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.gate import Limits
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import Constraints
from glassmind.serve.work.engine_thread import EngineThread, Running
from glassmind.serve.work.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Service:
    """A served model with its engine thread, limits and counters."""

    served: LocalLLM
    thread: EngineThread
    limits: Limits
    metrics: Metrics
    constraints: Constraints
    started: int = field(default_factory=lambda: int(time.time()))
    # Encoding a long text takes a while: beside the event loop, and one at a time, because a
    # tokenizer remembers what it has encoded.
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

    async def begin(self, requests: Sequence[Request]) -> Running:
        """Submit ``requests`` to the engine; the caller must call ``cancel`` at the end."""
        running = await self.thread.begin(requests)
        self.metrics.begun(sum(len(request.prompt_ids) for request in requests))
        return running

    def close(self) -> None:
        """End what ``text`` runs on."""
        self._texts.shutdown(wait=False, cancel_futures=True)


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
