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
from glassmind.pipeline.ask import LONGEST_QUESTION, Answer, conclude, load_familiarity
from glassmind.pipeline.ask_chat import MAX_TOKENS, VOTING_TEMPERATURE, reply_node
from glassmind.reason.verify import score_traces
from glassmind.records import Completion, Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.endpoints.service import Service, Tail
from glassmind.serve.endpoints.sse import Events, respond
from glassmind.serve.prompts import chat_prompt, text_prompt
from glassmind.serve.sampling import check_room, requests
from glassmind.serve.schemas import events as event_schema
from glassmind.serve.schemas.requests import ReasonRequest
from glassmind.serve.served_model import ServedModel
from glassmind.serve.work.engine_thread import Running
from glassmind.serve.work.reply import ReplyReader
from glassmind.tokenize import ParsedCompletion, chain_nodes, parse_completion

_ELSEWHERE = SamplingConfig(
    samples=1, max_new_tokens=MAX_TOKENS, temperature=VOTING_TEMPERATURE, top_k=0, top_p=1.0
)


class _Chain:
    """One chain of thought, as far as it is written."""

    def __init__(self, served: ServedModel, prompt: Sequence[int], sample: int) -> None:
        self._served, self._sample = served, sample
        self._reader = ReplyReader(served, prompt)
        self._tail = Tail()
        self._ids: list[int] = []
        self._text = ""
        self.steps: tuple[str, ...] = ()

    def see(self, event: Event) -> list[JsonObject]:
        """The steps that ``event`` closes."""
        new = self._tail.new(event).ids
        self._ids += new
        self._text += "".join(piece.text for piece in self._reader.see(new))
        known = len(self.steps)
        self.steps = self._closed_steps(ended=event.done is not None)
        return [
            {"type": "step", "sample": self._sample, "step": number, "text": self.steps[number]}
            for number in range(known, len(self.steps))
        ]

    def completion(self, done: Generation) -> Completion:
        """The whole, as the rest of the package knows it."""
        if self._served.loaded:
            nodes = chain_nodes(
                self._served.tokenizer,
                done.token_ids,
                self._served.style,
                finish=done.finish,
                logprobs=done.logprobs,
                forced=done.forced,
            )
        else:
            nodes = [reply_node(done, self._text)]
        return replace(Trace.of_chains("0", [nodes]).completions[0], sample=self._sample)

    def _closed_steps(self, *, ended: bool) -> tuple[str, ...]:
        if self._served.loaded:
            return self._parsed().steps
        if ended:
            self._text += "".join(piece.text for piece in self._reader.end())
        lines = self._text.split("\n")
        return tuple(line for line in (lines if ended else lines[:-1]) if line.strip())

    def _parsed(self) -> ParsedCompletion:
        return parse_completion(self._served.tokenizer, self._ids, self._served.style)


class _Reasoning:
    """The chains of one question."""

    def __init__(self, service: Service, question: str, prompt: Sequence[int], n: int) -> None:
        self._service, self._question = service, question
        self._problem = Problem("0", " ".join(question.split()), "")
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
        warning = self._warning()
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
        loaded = self._service.served.loaded
        if loaded is None or loaded.verifier is None or self._service.served.style != "chain":
            return completion
        scorer, tokenizer = loaded.verifier, loaded.tokenizer
        (scored,) = await self._service.thread.call(
            lambda: score_traces(scorer, tokenizer, [self._problem], [completion.trace])
        )
        return replace(scored.completions[0], sample=completion.sample)

    def _warning(self) -> str | None:
        """How the question differs from what the model was trained on."""
        served = self._service.served
        if served.loaded is not None:
            familiarity = load_familiarity(served.loaded.run.path / "familiarity.json")
            return familiarity.warning(self._question) if familiarity else None
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


def _params(served: ServedModel, body: ReasonRequest, room: int) -> SamplingParams:
    """What the run's recipe says, or for models from elsewhere what ``glassmind ask`` takes."""
    usual = served.loaded.recipe.sampling if served.loaded is not None else _ELSEWHERE
    samples = body.samples or usual.samples
    temperature = usual.temperature if samples > 1 or served.loaded is not None else 0.0
    seed = derive_seed(body.seed, 0) if served.loaded is not None else body.seed
    return replace(
        SamplingParams.of(usual, seed=seed, stop=served.stop_ids),
        max_new_tokens=min(room, body.max_tokens or usual.max_new_tokens),
        temperature=temperature if body.temperature is None else body.temperature,
        samples=samples,
    )


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
        prompt = await service.text(prompt_of, served, body.question)
        room = check_room(service, prompt, None, service.thread.context)
        params = _params(served, body, room)
        running = await service.begin(requests([prompt], params))
        answer = _Reasoning(service, body.question, prompt, params.samples)
        return await respond(answer, running, request, stream=bool(body.stream))

    return router
