"""``/v1/reason``: a question in; chains of thought, votes, scores and an answer out.

Where a chat endpoint gives one reply, this one shows what an answer rests on: how many chains were
drawn, what each of them says step by step, what a verifier thinks of each step, and how the vote
came out. Streamed, it is seen forming:

    start → step, step ... (of all chains) → chain (whole, with the votes so far) ... → answer
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.generate import Event, Generation, SamplingParams, derive_seed
from glassmind.llm.llm import LONGEST_QUESTION, asked_text, reply_sampling
from glassmind.llm.local import LocalLLM
from glassmind.llm.replies import NodeReader, closed_lines
from glassmind.pipeline.ask import Answer, conclude
from glassmind.reason.verify import score_traces
from glassmind.records import Completion, Problem, Trace
from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.endpoints.service import Service, Tail
from glassmind.serve.endpoints.sse import Events, respond
from glassmind.serve.sampling import check_room, requests
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import ReasonRequest
from glassmind.serve.work.engine_thread import Running
from glassmind.tokenize import parse_completion


class _Chain:
    """One chain of thought, as far as it is written."""

    def __init__(self, served: LocalLLM, prompt: Sequence[int], sample: int) -> None:
        self._served, self._prompt, self._sample = served, prompt, sample
        self._reader = NodeReader(served, prompt)
        self._tail = Tail()
        self._ids: list[int] = []
        self.steps: tuple[str, ...] = ()

    def see(self, event: Event) -> list[JsonObject]:
        """The steps that ``event`` closes."""
        new = self._tail.new(event).ids
        known = len(self.steps)
        self.steps = self._closed_steps(new, event.done)
        return [
            {"type": "step", "sample": self._sample, "step": number, "text": self.steps[number]}
            for number in range(known, len(self.steps))
        ]

    def completion(self, done: Generation) -> Completion:
        """The whole, as the rest of the package knows it."""
        nodes = self._served.nodes(self._prompt, done, self._served.style)
        return replace(Trace.of_chains("0", [nodes]).completions[0], sample=self._sample)

    def _closed_steps(self, new: Sequence[int], done: Generation | None) -> tuple[str, ...]:
        if self._served.format == "question":
            self._ids += new
            return parse_completion(self._served.tokenizer, self._ids, self._served.style).steps
        nodes = self._reader.see(new)
        if done is not None:
            nodes += self._reader.end(done.finish)
        return (*self.steps, *closed_lines(nodes))


class _Reasoning:
    """The chains of one question."""

    def __init__(self, service: Service, question: str, prompt: Sequence[int], n: int) -> None:
        self._service, self._question = service, question
        self._problem = Problem("0", asked_text(service.served, question), "")
        self._chains = [_Chain(service.served, prompt, sample) for sample in range(n)]
        self._done: list[Completion] = []

    async def whole(self, running: Running) -> JsonObject:
        """The last event, which holds everything."""
        last: Mapping[str, Any] = {}
        async with contextlib.aclosing(self.streamed(running)) as events:
            async for event in events:
                last = event
        return {name: value for name, value in last.items() if name != "type"}

    async def streamed(self, running: Running) -> Events:
        """What happens, as it does."""
        warning = self._service.served.warning(self._question)
        yield {"type": "start", "question": self._question, "samples": len(self._chains)}
        async for _, event in running:
            chain = self._chains[event.sample]
            for step in chain.see(event):
                yield step
            if event.done is None:
                continue
            self._service.metrics.tokens(len(event.done.token_ids))
            completion = await self._scored(chain.completion(event.done))
            self._done.append(completion)
            so_far = conclude(self._question, self._done, warning)
            votes = {"votes": so_far.votes, "weighted": so_far.weighted}
            yield {"type": "chain", **_plain(completion), **votes}
        self._done.sort(key=lambda completion: completion.sample)
        yield {"type": "answer", **_whole(conclude(self._question, self._done, warning))}

    async def _scored(self, completion: Completion) -> Completion:
        """With the verifier's scores, where there is one; computed between the engine's steps."""
        served = self._service.served
        scorer, tokenizer = served.scorer, served.tokenizer
        if scorer is None or served.style != "chain":
            return completion
        (scored,) = await self._service.thread.call(
            lambda: score_traces(scorer, tokenizer, [self._problem], [completion.trace])
        )
        return replace(scored.completions[0], sample=completion.sample)


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
        "warning": answer.warning,
        "votes": answer.votes,
        "weighted": answer.weighted,
        "chains": [_plain(chain) for chain in answer.chains],
    }


def _params(served: LocalLLM, body: ReasonRequest, room: int) -> SamplingParams:
    """As ``glassmind ask`` samples, where the request says nothing else."""
    config = reply_sampling(
        served,
        samples=body.samples,
        temperature=body.temperature,
        max_new_tokens=body.max_tokens,
    )
    params = SamplingParams.of(config, seed=derive_seed(body.seed, 0), stop=served.stop_ids)
    return replace(params, max_new_tokens=min(room, params.max_new_tokens))


def routes(service: Service) -> APIRouter:
    """The endpoint."""
    router = APIRouter()

    @router.post("/v1/reason", response_model=None, responses=event_schema.of("Reason"))
    async def reason(body: ReasonRequest, request: Request) -> Response:
        """Answer a question by the vote of several chains of thought."""
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
        question = asked_text(served, body.question)
        prompt = await service.text(served.prompt, question, served.style)
        room = check_room(service, prompt, None, service.thread.context)
        params = _params(served, body, room)
        running = await service.begin(requests([prompt], params))
        answer = _Reasoning(service, body.question, prompt, params.samples)
        return await respond(answer, running, request, stream=bool(body.stream))

    return router
