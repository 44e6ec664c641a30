"""``/v1/reason``: a question in; chains of thought, votes, scores and an answer out.

Where a chat endpoint gives one reply, this one shows what an answer rests on: how many chains were
drawn, what each of them says step by step, what a verifier thinks of each step, and how the vote
came out. ``method`` names one of the registry, by default the best that the model allows. Streamed,
the answer is seen forming:

    start → step, step ... (of all chains) → chain (whole, with the votes so far) ... → answer
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.pipeline.ask import (
    LONGEST_QUESTION,
    Answer,
    conclude,
    counted,
    load_familiarity,
)
from glassmind.pipeline.ask_chat import MAX_TOKENS, VOTING_TEMPERATURE
from glassmind.reason import registry
from glassmind.reason.method import Budget, Method, Need, Solution
from glassmind.reason.session import Session
from glassmind.records import Completion, Problem
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import AsciiJSON, Refusal
from glassmind.serve.endpoints.method_model import MethodModel
from glassmind.serve.endpoints.service import Service
from glassmind.serve.endpoints.sse import Events, EventStream, unless_gone
from glassmind.serve.prompts import chat_prompt, text_prompt
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import ReasonRequest
from glassmind.serve.served_model import ServedModel
from glassmind.tokenize import Style, encode_prompt

_ELSEWHERE = SamplingConfig(
    samples=1, max_new_tokens=MAX_TOKENS, temperature=VOTING_TEMPERATURE, top_k=0, top_p=1.0
)


class _Reasoning:
    """A method at work on one question."""

    def __init__(
        self, service: Service, question: str, method: Method, params: SamplingParams
    ) -> None:
        served = service.served
        self._served, self._question, self._method = served, question, method
        self._tidy = " ".join(question.split())
        self._warning = _warning(served, question)
        self._done: list[Completion] = []
        self._events: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        self._budget = Budget(params.samples)
        self._thread = ThreadPoolExecutor(1, "method")
        self._model = MethodModel(
            service,
            self._prompt,
            _usual(served),
            verifying="verifier" in method.needs,
            start=self._begun,
            step=self._events.put_nowait,
            done=self._chain,
        )
        self._session = Session(
            [self._model],
            replace(params, temperature=0.0, samples=1),
            replace(params, samples=1),  # nobody else shares the chains
            answers=False,
            verify=self._model.verify,
        )

    def cancel(self) -> None:
        """Give up what is not done."""
        self._model.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def whole(self) -> JsonObject:
        """The last event, which holds everything."""
        last: Mapping[str, Any] = {}
        async with contextlib.aclosing(self.streamed()) as events:
            async for event in events:
                last = event
        return {name: value for name, value in last.items() if name != "type"}

    async def streamed(self) -> Events:
        """What happens, as it does."""
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._thread, self._solve)
        working.add_done_callback(lambda _: self._events.put_nowait(None))
        try:
            while (event := await self._events.get()) is not None:
                yield event
            answer = conclude(self._question, working.result(), self._method.name, self._warning)
            yield {"type": "answer", **_whole(answer)}
        finally:
            self.cancel()

    def _solve(self) -> Solution:
        """In the method's thread."""
        problem = Problem("0", self._tidy, "")
        (solution,) = self._method.solve([problem], self._session, self._budget)
        return solution

    def _prompt(self, question: str, style: Style) -> Sequence[int]:
        if self._served.loaded is not None and self._served.format == "question":
            return encode_prompt(self._served.tokenizer, question, style)
        return prompt_of(self._served, self._question if question == self._tidy else question)

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
        self._events.put_nowait({"type": "chain", **_plain(completion), **told})


def _warning(served: ServedModel, question: str) -> str | None:
    """How the question differs from what the model was trained on."""
    if served.loaded is not None:
        familiarity = load_familiarity(served.loaded.run.path / "familiarity.json")
        return familiarity.warning(question) if familiarity else None
    if served.template is None:
        return (
            f"{served.name} has no chat template: it was not made for conversations, and is "
            "given the question as plain text to continue"
        )
    return None


def _plain(completion: Completion) -> JsonObject:
    return {
        "sample": completion.sample,
        "steps": list(completion.steps),
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
        "warning": answer.warning,
        "votes": answer.votes,
        "weighted": answer.weighted,
        "chains": [_plain(chain) for chain in answer.chains],
    }


def prompt_of(served: ServedModel, question: str) -> list[int]:
    """Ids that ask ``question``."""
    if served.format == "text":
        return text_prompt(served, question)
    messages = [{"role": "user", "content": question}]
    return chat_prompt(served, messages)


def _usual(served: ServedModel) -> SamplingConfig:
    """What the run's recipe says, or for models from elsewhere what ``glassmind ask`` takes."""
    return served.loaded.recipe.sampling if served.loaded is not None else _ELSEWHERE


def _method(served: ServedModel, body: ReasonRequest) -> Method:
    """The method asked for, or the best there is.

    Raises:
        Refusal: there is no such method, or it needs or is given what does not fit.
    """
    has: set[Need] = {served.style}
    if served.loaded is not None and served.loaded.verifier is not None:
        has.add("verifier")
    try:
        method = registry.named(body.method) if body.method else registry.best(has)
        registry.require(method, has)
    except UserError as error:
        raise Refusal(400, str(error), param="method") from None
    if body.samples is not None and not method.scales:
        raise Refusal(400, f"the method {method.name} does not take samples", param="samples")
    return method


def _params(served: ServedModel, body: ReasonRequest) -> SamplingParams:
    usual = _usual(served)
    samples = body.samples or usual.samples
    temperature = usual.temperature if samples > 1 or served.loaded is not None else 0.0
    return SamplingParams(
        max_new_tokens=body.max_tokens or usual.max_new_tokens,
        temperature=temperature if body.temperature is None else body.temperature,
        samples=samples,
        seed=body.seed,
        stop=served.stop_ids,
    )


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
                f"at most {LONGEST_QUESTION} characters of a question are read",
                param="question",
            )
        method = _method(served, body)
        reasoning = _Reasoning(service, body.question, method, _params(served, body))
        if not body.stream:
            return AsciiJSON(await unless_gone(request.receive, reasoning.whole()))
        events = reasoning.streamed()
        first = await anext(events)  # what is refused is refused before the answer begins
        return EventStream(_after(first, events), reasoning.cancel)

    return router


async def _after(first: Mapping[str, Any], events: Events) -> Events:
    yield first
    async with contextlib.aclosing(events):
        async for event in events:
            yield event
