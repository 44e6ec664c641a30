"""The served model as a method of reasoning uses it, from a thread of the method's own.

A method is synchronous code that blocks until its chains are sampled, so it must not run in the
event loop. It runs in a thread of its own. Its requests go to the same engine as all others, and a
verifier's scores are computed between that engine's steps. Callbacks report the chains as they
form.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from glassmind.generate import Event, Generation, Request, SamplingParams, derive_seed
from glassmind.llm.continuing import NO_ROOM, continuation_nodes, path_request, with_seconds
from glassmind.llm.costs import timed
from glassmind.llm.local import LocalLLM
from glassmind.llm.model import OpenPath
from glassmind.llm.replies import NodeReader, closed_lines
from glassmind.model import TokenScorer
from glassmind.reason.verify import verify_function
from glassmind.reason.verify_tree import verify_nodes_function
from glassmind.records import Completion, Cost, Node, Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import JsonObject
from glassmind.serve.access.callers import Caller
from glassmind.serve.endpoints.service import Service, Tail
from glassmind.serve.sampling import check_room
from glassmind.tokenize import Style, Tokenizer, chain_nodes, parse_completion

T = TypeVar("T")


class MethodModel:
    """A ``llm.model.StepModel``. ``start`` is called once, when the engine has accepted the first
    chains, ``step`` for every completed step of a chain, and ``done`` for every completed chain.
    ``caller`` is the sender of the request.

    With ``verifying``, chains are scored as soon as they are done.
    """

    def __init__(
        self,
        service: Service,
        caller: Caller,
        *,
        verifying: bool,
        start: Callable[[int], None],
        step: Callable[[JsonObject], None],
        done: Callable[[Completion], None],
    ) -> None:
        self._service, self._caller, self._verifying = service, caller, verifying
        self._start, self._step, self._done = start, step, done
        self._loop = asyncio.get_running_loop()
        self._waiting: set[Future[Any]] = set()
        self._over = False
        self._begun = False
        self._chains = 0
        self._scored: dict[tuple[str, tuple[int, ...]], tuple[Node, ...]] = {}

    @property
    def name(self) -> str:
        return self._service.served.name

    @property
    def style(self) -> Style:
        return self._service.served.style

    @property
    def tokenizer(self) -> Tokenizer | None:
        return self._service.served.tokenizer

    @property
    def scorer(self) -> TokenScorer | None:
        return self._service.served.scorer if self.style == "chain" else None

    @property
    def default_sampling(self) -> SamplingConfig:
        return self._service.served.default_sampling

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Callable[[int, int], None] | None = None,
        *,
        first: int = 0,
    ) -> list[Trace]:
        """In the method's thread: chains sampled in the engine's thread."""
        return self._wait(self._sample(problems, params, style, first))

    @property
    def follows_instructions(self) -> bool:
        return self._service.served.follows_instructions

    @property
    def continues_steps(self) -> bool:
        return self._service.served.continues_steps

    def prompt_tokens(self, question: str) -> int:
        """In the method's thread."""
        service = self._service
        return self._wait(service.text(service.served.prompt_tokens, question))

    def continue_paths(
        self, paths: Sequence[OpenPath], params: SamplingParams, *, to_end: bool = False
    ) -> list[list[list[Node]]]:
        """In the method's thread: continuations sampled in the engine's thread."""
        return self._wait(self._continue(paths, params, to_end))

    def verify_nodes(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        wanted: Sequence[Sequence[int]],
    ) -> list[Trace]:
        """In the method's thread: the nodes' scores, computed between the engine's steps."""
        verify = verify_nodes_function(self._service.served)
        score = partial(verify, scorer, tokenizer, problems, traces, wanted)
        return self._wait(self._service.thread.call(score))

    def verify(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Trace]:
        """In the method's thread: the traces with the scores that their chains have by now."""
        judged = []
        for problem, trace in zip(problems, traces, strict=True):
            chains = [self._scored.get((problem.id, c.token_ids)) for c in trace.completions]
            if None in chains:  # nodes that the method has composed itself
                score = partial(
                    verify_function(self._service.served), scorer, tokenizer, [problem], [trace]
                )
                judged += self._wait(self._service.thread.call(score))
            else:
                known = [chain for chain in chains if chain is not None]
                judged.append(Trace.of_chains(trace.problem_id, known, trace.prompt_cost))
        return judged

    def cancel(self) -> None:
        """Cancel all unfinished chains, and refuse further ones."""
        self._over = True
        for future in tuple(self._waiting):
            future.cancel()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._over:
            work.close()
            raise CancelledError
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._waiting.add(future)
        try:
            return future.result()
        finally:
            self._waiting.discard(future)

    # In the event loop.

    async def _sample(
        self, problems: Sequence[Problem], params: SamplingParams, style: Style, first: int
    ) -> list[Trace]:
        service, served = self._service, self._service.served
        asked = []
        for number, problem in enumerate(problems):
            prompt = await service.text(served.prompt, problem.question, style)
            room = check_room(service, prompt, None, service.thread.context)
            seed = derive_seed(params.seed, first + number)
            most = min(room, params.max_new_tokens)
            limited = replace(params, max_new_tokens=most, seed=seed, stop=served.stop_ids)
            asked.append(Request(tuple(prompt), limited))
        started = time.perf_counter()
        running = await service.begin(asked, self._caller)
        try:
            if not self._begun:
                self._begun = True
                self._start(params.samples * len(problems))
            chains = [
                _Chain(served, style, request.prompt_ids, self._chains + sample)
                for request in asked
                for sample in range(params.samples)
            ]
            self._chains += len(chains)
            async for number, event in running:
                chain = chains[number * params.samples + event.sample]
                for step in chain.see(event):
                    self._step(step)
                if event.done is not None:
                    service.metrics.tokens(len(event.done.token_ids))
                    await self._tell(problems[number], chain)
        finally:
            running.cancel()
        traces = [
            Trace.of_chains(
                problem.id,
                [chain.nodes for chain in chains[start : start + params.samples]],
                Cost(prompt_tokens=len(request.prompt_ids)),
            )
            for problem, request, start in zip(
                problems, asked, range(0, len(chains), params.samples), strict=True
            )
        ]
        return timed(traces, time.perf_counter() - started)

    async def _continue(
        self, paths: Sequence[OpenPath], params: SamplingParams, to_end: bool
    ) -> list[list[list[Node]]]:
        """Continuations of paths. Of a search, ``done`` gets the chains that end; there are no
        ``step`` events, because a step is shared by many chains."""
        service, served = self._service, self._service.served
        asked = [
            await service.text(path_request, served, path, params, to_end=to_end) for path in paths
        ]
        numbers = [number for number, request in enumerate(asked) if request is not None]
        requests = [request for request in asked if request is not None]
        replies = [[NO_ROOM] * path.samples for path in paths]
        started = time.perf_counter()
        running = await service.begin(requests, self._caller)
        try:
            if not self._begun:
                self._begun = True
                self._start(sum(path.samples for path in paths))
            async for at, event in running:
                if event.done is None:
                    continue
                service.metrics.tokens(len(event.done.token_ids))
                replies[numbers[at]][event.sample] = event.done
                self._tell_of_end(paths[numbers[at]], event.done)
        finally:
            running.cancel()
        seconds = time.perf_counter() - started
        nodes = [[continuation_nodes(served, one) for one in samples] for samples in replies]
        return with_seconds(nodes, seconds)

    def _tell_of_end(self, path: OpenPath, written: Generation) -> None:
        """Call ``done`` if a path's continuation ends its chain."""
        served, ids = self._service.served, (*path.token_ids, *written.token_ids)
        if written.finish != "stop" or ids[-1] not in served.stop_ids:
            return
        nodes = chain_nodes(served.tokenizer, ids, "chain", finish="stop")
        (chain,) = Trace.of_chains(path.problem.id, [nodes]).completions
        self._done(replace(chain, sample=self._chains))
        self._chains += 1

    async def _tell(self, problem: Problem, chain: _Chain) -> None:
        """Score a completed chain if ``verifying``, then call ``done``."""
        trace = Trace.of_chains(problem.id, [chain.nodes])
        scorer, tokenizer = self.scorer, self.tokenizer
        if self._verifying and scorer is not None and tokenizer is not None:
            score = partial(
                verify_function(self._service.served), scorer, tokenizer, [problem], [trace]
            )
            (trace,) = await self._service.thread.call(score)
            self._scored.setdefault((problem.id, chain.token_ids), trace.nodes)
        self._done(replace(trace.completions[0], sample=chain.number))


class _Chain:
    """One chain of thought in progress; it has ``nodes`` when it is done."""

    def __init__(self, served: LocalLLM, style: Style, prompt: Sequence[int], number: int) -> None:
        self._served, self._style, self.number = served, style, number
        self._prompt, self._reader = prompt, NodeReader(served, prompt)
        self._tail = Tail()
        self._ids: list[int] = []
        self._steps: tuple[str, ...] = ()
        self.nodes: list[Node] = []

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(token for node in self.nodes for token in node.token_ids)

    def see(self, event: Event) -> list[JsonObject]:
        """The steps that ``event`` completes."""
        new = self._tail.new(event).ids
        known = len(self._steps)
        self._steps = self._closed_steps(new, event.done)
        if event.done is not None:
            self.nodes = self._served.nodes(self._prompt, event.done, self._style)
        return [
            {"type": "step", "sample": self.number, "step": number, "text": self._steps[number]}
            for number in range(known, len(self._steps))
        ]

    def _closed_steps(self, new: Sequence[int], done: Generation | None) -> tuple[str, ...]:
        if self._served.format == "question":
            self._ids += new
            return parse_completion(self._served.tokenizer, self._ids, self._style).steps
        nodes = self._reader.see(new)
        if done is not None:
            nodes += self._reader.end(done.finish)
        return (*self._steps, *closed_lines(nodes))
