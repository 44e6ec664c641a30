"""``/v1/reason``: a question in; chains of thought, votes, scores and an answer out.

A chat endpoint returns one reply. This one also shows how the answer was found: all sampled chains
step by step, a verifier's score of each step, and the votes. ``method`` names a method of the
registry, by default the best that the model supports. Streamed, these events arrive:

    start → step, step ... (of all chains) → chain (whole, with the votes so far) ... → answer
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.grade.chain_checks import check_chain
from glassmind.llm.llm import asked_text, reply_sampling
from glassmind.llm.local import LocalLLM
from glassmind.llm.questions import LONGEST_QUESTION
from glassmind.pipeline.answer import Answer, by_calculator, counted
from glassmind.pipeline.ask import concluding
from glassmind.reason import registry
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.needs import Need
from glassmind.reason.session import Session
from glassmind.records import Completion, Problem
from glassmind.serialization import JsonObject
from glassmind.serve.access.callers import Caller, caller_of
from glassmind.serve.access.refusals import AsciiJSON, Refusal
from glassmind.serve.endpoints.method_model import MethodModel
from glassmind.serve.endpoints.service import Service
from glassmind.serve.endpoints.sse import Events, EventStream, unless_gone
from glassmind.serve.sampling import temperature_of
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import ReasonRequest


class _Reasoning:
    """A method at work on one question."""

    def __init__(
        self,
        service: Service,
        caller: Caller,
        question: str,
        method: Method,
        params: SamplingParams,
    ) -> None:
        served = service.served
        self._served, self._question, self._method = served, question, method
        self._done: list[Completion] = []
        self._events: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        self._budget = Budget(params.samples)
        self._thread = ThreadPoolExecutor(1, "method")
        self._model = MethodModel(
            service,
            caller,
            verifying="verifier" in method.needs,
            start=self._begun,
            step=self._events.put_nowait,
            done=self._chain,
        )
        self._session = Session(
            [self._model],
            replace(params, temperature=0.0, samples=1),
            replace(params, samples=1),  # no other method shares the chains: draw none in advance
            answers=False,
            verify=self._model.verify,
            verify_nodes=self._model.verify_nodes,
        )

    def cancel(self) -> None:
        """Cancel what is not finished."""
        self._model.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def whole(self) -> JsonObject:
        """The last event, which has the complete answer."""
        last: Mapping[str, Any] = {}
        async with contextlib.aclosing(self.streamed()) as events:
            async for event in events:
                last = event
        return {name: value for name, value in last.items() if name != "type"}

    async def streamed(self) -> Events:
        """The events, as they occur."""
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._thread, self._solve)
        working.add_done_callback(self._ended)
        try:
            while (event := await self._events.get()) is not None:
                yield event
            conclude = concluding(self._served)
            answer = conclude(self._question, working.result(), self._method.name)
            yield {"type": "answer", **_whole(answer)}
        finally:
            self.cancel()

    def _ended(self, working: asyncio.Future[Solution]) -> None:
        if not working.cancelled():
            working.exception()  # marks it as retrieved, in case the client has disconnected
        self._events.put_nowait(None)

    def _solve(self) -> Solution:
        """In the method's thread."""
        problem = Problem("0", asked_text(self._served.format, self._question), "")
        (solution,) = self._method.solve([problem], self._session, self._budget)
        return solution

    def _begun(self, samples: int) -> None:
        self._events.put_nowait(
            {
                "type": "start",
                "question": self._question,
                "method": self._method.name,
                "samples": samples,
            }
        )

    def _chain(self, completion: Completion) -> None:
        self._done.append(completion)
        votes, weighted = counted(self._done)
        told = {"votes": votes, "weighted": weighted}
        plain = _plain(completion, self._question)
        self._events.put_nowait({"type": "chain", **plain, **told})


def _plain(completion: Completion, question: str) -> JsonObject:
    checks = check_chain(completion.steps, completion.answer, question)
    return {
        "sample": completion.sample,
        "steps": list(completion.steps),
        "equations_hold": list(checks.holds),
        "findings": list(checks.findings(completion.answer)),
        "step_scores": list(completion.step_scores),
        "answer": completion.answer,
        "score": completion.score,
        "logprob": completion.logprob,
        "tokens": len(completion.token_ids),
        "finish": completion.finish,
    }


def _whole(answer: Answer) -> JsonObject:
    return {
        "question": answer.question,
        "answer": answer.text,
        "method": answer.method,
        "cost": {
            "prompt_tokens": answer.cost.prompt_tokens,
            "completion_tokens": answer.cost.completion_tokens,
            "judged_tokens": answer.cost.judged_tokens,
        },
        "chosen": answer.chosen,
        "confidence": answer.confidence,
        "warning": answer.warning,
        "examples": list(answer.examples),
        "votes": answer.votes,
        "weighted": answer.weighted,
        "chains": [_plain(chain, answer.question) for chain in answer.chains],
    }


def _method(served: LocalLLM, body: ReasonRequest) -> Method:
    """The requested method, or the best that the model supports.

    Raises:
        Refusal: there is no such method, the model lacks what it needs, or it does not take a
            given option.
    """
    has: set[Need] = {served.style}
    if served.scorer is not None:
        has.add("verifier")
    if served.continues_steps:
        has.add("steps")
    if served.follows_instructions:
        has.add("instructions")
    try:
        method = registry.named(body.method) if body.method else registry.best(has)
        registry.require(method, has)
    except UserError as error:
        raise Refusal(400, str(error), param="method") from None
    if body.samples is not None and not method.scales:
        raise Refusal(400, f"the method {method.name} does not take samples", param="samples")
    if temperature_of(body.temperature) and method.greedy:
        raise Refusal(
            400,
            f"the method {method.name} always takes the likeliest token, whatever the temperature; "
            "leave it out, or use another method",
            param="temperature",
        )
    return method


def _params(served: LocalLLM, body: ReasonRequest) -> SamplingParams:
    """The sampling of ``glassmind ask``, with the values that the request sets."""
    config = reply_sampling(
        served,
        samples=body.samples,
        temperature=temperature_of(body.temperature),
        max_new_tokens=body.max_tokens,
        where="the request",
    )
    return SamplingParams.of(config, seed=body.seed, stop=served.stop_ids)


def routes(service: Service) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.post("/v1/reason", response_model=None, responses=event_schema.of("Reason"))
    async def reason(body: ReasonRequest, request: Request) -> Response:
        """Answer a question by a method of reasoning, by default the vote of several chains."""
        service.check_model(body.model)
        served = service.served
        if not body.question.strip():
            raise Refusal(400, "the question is empty", param="question")
        if len(body.question) > LONGEST_QUESTION:
            raise Refusal(
                400,
                f"a question may have at most {LONGEST_QUESTION} characters",
                param="question",
            )
        method = _method(served, body)
        exact = None
        if served.format == "question" and not body.method:
            exact = by_calculator(body.question)
        if exact is not None:
            whole = _whole(exact)
            if not body.stream:
                return AsciiJSON(whole)
            return EventStream(_once({"type": "answer", **whole}), lambda: None)
        reasoning = _Reasoning(
            service, caller_of(request), body.question, method, _params(served, body)
        )
        if not body.stream:
            return AsciiJSON(await unless_gone(request.receive, reasoning.whole()))
        events = reasoning.streamed()
        first = await anext(events)  # so that a refusal is sent before the answer begins
        return EventStream(_after(first, events), reasoning.cancel)

    return router


async def _once(event: Mapping[str, Any]) -> Events:
    yield event


async def _after(first: Mapping[str, Any], events: Events) -> Events:
    yield first
    async with contextlib.aclosing(events):
        async for event in events:
            yield event
