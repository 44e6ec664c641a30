"""The engine's thread.

An engine is not thread-safe, and a web server has many clients. So one thread owns it and receives
messages: begin these requests, cancel them, run this function between two steps. The engine's
events go the other way, one message to the event loop per step, and are distributed there to the
waiting requests.

    asyncio ──inbox──▶ thread: take messages · engine.step() ──call_soon_threadsafe──▶ asyncio
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from glassmind.generate import Engine, Event, Request
from glassmind.generate.cache.layout import BLOCK
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.work.engine_state import EngineState
from glassmind.serve.work.metrics import Metrics

T = TypeVar("T")
_LOG = logging.getLogger("glassmind.serve")

_GROUPS = itertools.count()
SMALL = 8  # a request is small if it asks for at most max_sequences / SMALL samples


class Running:
    """A group of requests in progress: an asynchronous iterator over (index of the request, its
    event), which ends when all samples are done.

    ``cancel`` may be called at any time, also after the end. Raises ``Refusal`` if the engine fails
    or the time limit is reached.
    """

    def __init__(
        self, thread: EngineThread, requests: Sequence[Request], seconds: float, client: str
    ) -> None:
        self._thread, self.client = thread, client
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._seconds = seconds
        self._begun_at: float | None = time.monotonic()
        self._left = sum(request.params.samples for request in requests)
        self._events: asyncio.Queue[tuple[int, Event] | Exception] = asyncio.Queue()
        self.weight = sum(request.params.drawn_samples for request in requests)
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.group = next(_GROUPS)  # the engine's passes are shared among clients, then groups
        self.tickets: list[int] = []  # used only in the thread
        self.cancelled = False

    def put(self, message: tuple[int, Event] | Exception) -> None:
        """Receive a message from the thread, in the event loop."""
        self._events.put_nowait(message)

    def __aiter__(self) -> AsyncIterator[tuple[int, Event]]:
        return self

    async def __anext__(self) -> tuple[int, Event]:
        if self._left == 0:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._events.get()
        except TimeoutError:
            raise Refusal(
                408, f"the answer took longer than the {self._seconds:g} s that a request may take"
            ) from None
        if isinstance(message, Refusal):
            raise message
        if isinstance(message, Exception):
            raise Refusal(500, "the engine failed on this request") from message
        if self._begun_at is not None:
            self._thread.metrics.first_token(time.monotonic() - self._begun_at)
            self._begun_at = None
        if message[1].done is not None:
            self._left -= 1
        return message

    def cancel(self) -> None:
        """Cancel unfinished samples and release their places."""
        if not self.cancelled:
            self.cancelled = True
            self._thread.end(self)
            if self._left:
                self._thread.metrics.cancelled()


@dataclass(slots=True)
class _Ticket:
    """The owner of an engine ticket, the index of its request, and the number of samples left."""

    running: Running
    number: int
    samples_left: int


class EngineThread:
    """Runs ``engine``. Call ``start`` in the event loop that sends requests, ``stop`` at the end.

    When ``max_sequences`` samples run or wait, further requests are refused with 429. Small ones,
    of at most an eighth of that, are still accepted until there are twice ``max_sequences`` in all,
    so that one large request does not block all others; a single client may have one and a half
    times ``max_sequences``. A request may take at most ``seconds``.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, *, max_sequences: int, seconds: float
    ) -> None:
        self._engine, self.metrics = engine, metrics
        self._max_sequences, self._seconds = max_sequences, seconds
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._open: dict[int, _Ticket] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._live: set[Running] = set()
        self._ended = False
        self.context = min(engine.model.config.max_tokens, engine.n_blocks * BLOCK)
        """The most tokens of a prompt and its answer together: the limit of model and cache."""
        self.state = EngineState()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start accepting requests from the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Stop, after finishing the requests in progress."""
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    # In the event loop.

    async def begin(self, requests: Sequence[Request], client: str = "") -> Running:
        """Start ``requests`` of ``client``. The caller must call ``cancel`` at the end.

        Raises ``Refusal`` if too many samples are running, and ``UserError`` if the engine refuses
        a request.
        """
        if self._ended:
            raise _stopping()
        running = Running(self, requests, self._seconds, client)
        if running.weight > self._max_sequences:
            raise Refusal(
                400,
                f"this asks for {running.weight} samples; at most {self._max_sequences} are "
                "computed at once",
                param="n",
            )
        if not self._has_room(running):
            raise Refusal(429, "the server is busy; try again", code="busy", retry_after=1)
        self._live.add(running)
        self._inbox.put(lambda: self._submit(running, requests))
        try:
            await running.accepted
        except BaseException:
            running.cancel()
            raise
        return running

    def end(self, running: Running) -> None:
        """End ``running``: release its place and cancel its unfinished samples."""
        self._live.discard(running)
        self._inbox.put(lambda: self._withdraw(running))

    def end_all(self) -> None:
        """Refuse all running and all further requests, because the server is stopping."""
        self._ended = True
        for running in self._live:
            running.put(_stopping())

    def _has_room(self, running: Running) -> bool:
        most, weight = self._max_sequences, running.weight
        total = sum(other.weight for other in self._live)
        if total + weight <= most:
            return True
        own = sum(other.weight for other in self._live if other.client == running.client)
        small = weight * SMALL <= most
        return small and total + weight <= 2 * most and own + weight <= most + most // 2

    async def call(self, function: Callable[[], T]) -> T:
        """The result of ``function``, computed in the thread between two steps."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def compute() -> None:
            try:
                result = function()
            except Exception as error:
                self._post(_fail, future, error)
            else:
                self._post(_resolve, future, result)

        self._inbox.put(compute)
        return await future

    # In the thread.

    def _run(self) -> None:
        stopping = False
        while not (stopping and not self._engine.busy):
            try:
                stopping = self._take(stopping)
                if self._engine.busy:
                    self._hand_out(self._engine.step())
            except Exception as error:
                _LOG.exception("a step of the engine failed")
                self._fail_all(error)
            engine = self._engine
            self.state = EngineState(
                engine.n_waiting,
                engine.n_running,
                engine.n_blocks - engine.n_free_blocks,
                engine.n_blocks,
                engine.scheduler.preempted,
                engine.guessed,
                engine.accepted,
            )

    def _take(self, stopping: bool) -> bool:
        """Process the inbox; wait for a message only if there is nothing to compute."""
        idle = not self._engine.busy and not stopping
        while True:
            try:
                message = self._inbox.get(block=idle)
            except queue.Empty:
                return stopping
            idle = False
            if message is None:
                stopping = True
            else:
                message()

    def _submit(self, running: Running, requests: Sequence[Request]) -> None:
        if running.cancelled:
            return
        try:
            for number, request in enumerate(requests):
                ticket = self._engine.submit(request, (running.client, running.group))
                running.tickets.append(ticket)
                self._open[ticket] = _Ticket(running, number, request.params.samples)
        except Exception as error:
            self._withdraw(running)
            self._post(_fail, running.accepted, error)
        else:
            self._post(_resolve, running.accepted, None)

    def _withdraw(self, running: Running) -> None:
        for ticket in running.tickets:
            if self._open.pop(ticket, None) is not None:
                self._engine.cancel(ticket)
        running.tickets.clear()

    def _hand_out(self, events: Sequence[Event]) -> None:
        """Send all events to their owners, in one message."""
        letters = []
        for event in events:
            ticket = self._open[event.ticket]
            letters.append((ticket.running, ticket.number, event))
            if event.done is not None:
                ticket.samples_left -= 1
                if ticket.samples_left == 0:
                    del self._open[event.ticket]
        if letters:
            self._post(_deliver, letters)

    def _fail_all(self, error: Exception) -> None:
        """After a failed step the engine's state is unknown: cancel everything."""
        for running in {id(t.running): t.running for t in self._open.values()}.values():
            self._withdraw(running)
            self._post(running.put, RuntimeError(str(error)))

    def _post(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *arguments)


def _deliver(letters: Sequence[tuple[Running, int, Event]]) -> None:
    for running, number, event in letters:
        running.put((number, event))


def _stopping() -> Refusal:
    return Refusal(503, "the server is stopping", code="stopping", retry_after=5)


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
