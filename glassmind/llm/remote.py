"""A model behind an address: any server with the API of OpenAI's clients.

vLLM, llama.cpp's server, hosted services and ``glassmind serve`` all take the same two requests,
``/v1/chat/completions`` (messages) and ``/v1/completions`` (a text to continue). Their differences
are found out by trying: a server that does not support ``n`` gets one request per sample, one that
gives no log-probabilities is not asked for them, and reasoning is read from the fields that servers
have for it or from ``<think>`` in the text.

The weights are not available, so there are no token ids and no verifier; costs are the server's
counts.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from glassmind.errors import UserError
from glassmind.generate import SamplingParams, derive_seed
from glassmind.llm.costs import timed
from glassmind.llm.http_json import Json, JsonClient, Refused
from glassmind.llm.llm import FREE_TEXT_SAMPLING, Continuation, Format
from glassmind.llm.prompts import Message, PromptFormat
from glassmind.llm.remote_reply import Reply, read_choice
from glassmind.notebook import facts_text, table
from glassmind.records import Cost, Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import Style

API_KEY = "OPENAI_API_KEY"
MOST_AT_ONCE = 16  # concurrent requests
Sent = TypeVar("Sent")
MOST_CHOICES = 128  # in one request; more samples take several requests

_TOO_LONG = re.compile(r"context|too (long|many tokens)|max_model_len|maximum.*tokens", re.I)


def is_address(text: str) -> bool:
    """Whether ``text`` is the address of a server."""
    return text.startswith(("http://", "https://"))


@dataclass(eq=False, repr=False)
class RemoteLLM:
    """The model ``model`` of a server.

    ``format`` is ``chat`` or ``text`` and decides which of the two requests is sent. ``at_once`` is
    the number of concurrent requests.
    """

    name: str
    client: JsonClient
    model: str
    format: Format = "chat"
    prompts: PromptFormat = field(default_factory=PromptFormat)
    at_once: int = MOST_AT_ONCE
    style: Style = "chain"
    default_sampling: SamplingConfig = FREE_TEXT_SAMPLING
    # The fields that the server does not support: found out by one request, kept for the others.
    _lacks: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    tokenizer: None = None
    scorer: None = None
    recipe: None = None
    run: None = None
    familiarity: None = None

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("address", self.client.base),
            ("model", self.model),
            ("asked by", "a conversation" if self.format == "chat" else "a text to continue"),
        ]

    def __str__(self) -> str:
        return facts_text(self.name, self._facts())

    __repr__ = __str__  # the default would print every layer

    def _repr_html_(self) -> str:
        return table((), [("name", self.name), *self._facts()])

    @classmethod
    def at(
        cls,
        address: str,
        *,
        name: str = "",
        prompts: PromptFormat | None = None,
        api_key_variable: str = API_KEY,
        timeout: float = 600.0,
        tries: int = 5,
        pause: float = 0.5,
    ) -> RemoteLLM:
        """The model at ``address``. The server is asked for its list of models.

        ``http://host:8000/v1`` is enough if there is one model; ``#NAME`` at the end chooses one of
        several. With ``/v1/completions`` the model continues texts, as base models do. The key is
        the value of the environment variable ``api_key_variable``, if it is set.

        Raises:
            UserError: the address is invalid, does not answer, or has no such model.
        """
        base, chosen, format = _parts(address)
        client = JsonClient(base, os.environ.get(api_key_variable, ""), timeout, tries, pause)
        # Few tries: this request only finds out whether there is a server, which may be busy later.
        asking = replace(client, tries=min(2, tries))
        model, listed = _listed_model(asking, chosen, api_key_variable)
        if format is None:  # glassmind serve lists the format of its model
            format = "text" if listed.get("format") == "text" else "chat"
        return cls(name or model, client, model, format, prompts or PromptFormat())

    @property
    def follows_instructions(self) -> bool:
        """See ``PromptedModel``: a server does not say otherwise."""
        return True

    def with_prompts(self, prompts: PromptFormat) -> RemoteLLM:
        """See ``LLM.with_prompts``."""
        return replace(self, prompts=prompts)

    def check(self, question: str, style: Style) -> None:
        """Does nothing: only the server knows whether a question fits."""

    def warning(self, question: str) -> str | None:
        """See ``LLM.warning``."""
        if self.format == "text":
            return f"{self.name} gets the question as plain text to continue"
        return None

    # ------------------------------------------------------------------ sampling

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Callable[[int, int], None] | None = None,
        *,
        first: int = 0,
    ) -> list[Trace]:
        """See ``LLM.sample``; parameters that the API does not have are refused.

        Raises:
            UserError: the server refuses, fails, or can no longer be reached.
        """
        _refuse_unknown(params)
        started = time.perf_counter()
        total = len(problems) * params.samples
        replies: list[list[Reply]] = [[] for _ in problems]
        with ThreadPoolExecutor(self.at_once, "remote") as pool:
            asked: dict[Future[list[Reply]], int] = {
                pool.submit(self._replies, problem.question, params, style, first + number): number
                for number, problem in enumerate(problems)
            }
            waiting = set(asked)
            try:
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        replies[asked[future]] = future.result()
                    if progress is not None:
                        progress(total - len(waiting) * params.samples, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        traces = [
            Trace.of_chains(
                problem.id,
                [reply.nodes for reply in of_one],
                Cost(prompt_tokens=max((reply.prompt_tokens for reply in of_one), default=0)),
            )
            for problem, of_one in zip(problems, replies, strict=True)
        ]
        return timed(traces, time.perf_counter() - started)

    def continuations(self, text: str, params: SamplingParams) -> list[Continuation]:
        """See ``LLM.continuations``."""
        _refuse_unknown(params)
        plain = replace(self, format="text", prompts=PromptFormat())
        found = []
        for reply in plain._replies(text, params, "chain", 0):
            said, last = "".join(node.text for node in reply.nodes), reply.nodes[-1]
            if not said and last.finish == "length":
                raise UserError(f"the text is too long for {self.name}: shorten it")
            found.append(Continuation(said, last.finish or "stop"))
        return found

    def _replies(
        self, question: str, params: SamplingParams, style: Style, number: int
    ) -> list[Reply]:
        """All samples of one question."""
        seed = derive_seed(params.seed, number)
        body = self._body(question, params, style)
        replies: list[Reply] = []
        while len(replies) < params.samples:
            n = min(params.samples - len(replies), MOST_CHOICES)
            # The first request has the seed that a model in this process would get.
            own = {"seed": seed if not replies else derive_seed(seed, len(replies))}
            try:
                answer = self._ask({**body, **own}, n)
            except Refused as refusal:
                if is_too_long(refusal):
                    return [Reply.nothing()] * params.samples
                raise UserError(self.refusal(refusal)) from None
            choices = answer.get("choices")
            if not isinstance(choices, list) or not choices:
                raise UserError(f"{self.client.base} gave no choices in its answer")
            replies += [  # a server that ignores n returns one choice
                read_choice(choice, answer, at, len(choices), self.client.base)
                for at, choice in enumerate(choices[:n])
            ]
        return replies

    def _body(self, question: str, params: SamplingParams, style: Style) -> dict[str, Any]:
        body = self._sampling(params)
        if self.format == "text":
            body["prompt"] = self.prompts.continued(question, style)
            if stops := self.prompts.stop_texts(style):
                body["stop"] = list(stops)
            body["logprobs"] = 0
            return body
        body["messages"] = self.prompts.messages(question, style)
        body["logprobs"] = True
        if self.prompts.think is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self.prompts.think}
        return body

    def _sampling(self, params: SamplingParams) -> dict[str, Any]:
        """The fields of a request that say how to sample."""
        body: dict[str, Any] = {"model": self.model, "temperature": params.temperature}
        if params.top_p < 1:
            body["top_p"] = params.top_p
        for name in ("top_k", "min_p"):  # not in every API; sent only if they change something
            if getattr(params, name):
                body[name] = getattr(params, name)
        body["max_tokens"] = params.max_new_tokens
        return body

    def converse(
        self, messages: Sequence[Message], params: SamplingParams, think: bool | None
    ) -> Iterator[Json]:
        """The events of a streamed reply to a conversation.

        Raises:
            Refused: the server refuses.
            UserError: it fails, or cannot be reached.
        """
        body = self._sampling(params)
        body |= {"messages": list(messages), "logprobs": True, "seed": params.seed, "stream": True}
        if think is not None:
            body["chat_template_kwargs"] = {"enable_thinking": think}
        return self._adapted(body, 1, self._begun)

    def _begun(self, path: str, body: Json) -> Iterator[Json]:
        """A stream whose first event has arrived; until then, the server may still refuse."""
        events = self.client.events(path, body)
        first = next(events, None)

        def all_events() -> Iterator[Json]:
            try:
                if first is not None:
                    yield first
                yield from events
            finally:
                events.close()

        return all_events()

    def _ask(self, body: Mapping[str, Any], n: int) -> Json:
        """The answer to a request for ``n`` choices."""
        return self._adapted(body, n, self.client.ask)

    def _adapted(self, body: Mapping[str, Any], n: int, send: Callable[[str, Json], Sent]) -> Sent:
        """The result of ``send`` for a request for ``n`` choices, without fields that the server
        does not support.

        Raises:
            Refused: the server refuses for another reason.
        """
        path = "completions" if self.format == "text" else "chat/completions"
        while True:
            with self._lock:
                lacks = set(self._lacks)
            sent = dict(body)
            if n > 1 and "n" not in lacks:
                sent["n"] = n
            if "logprobs" in lacks:
                del sent["logprobs"]
            if "max_tokens" in lacks:  # OpenAI's newer models use another name for it
                sent["max_completion_tokens"] = sent.pop("max_tokens")
            try:
                return send(path, sent)
            except Refused as refusal:
                lacking = _unknown_field(refusal, sent)
                if lacking is None:
                    raise
                with self._lock:
                    self._lacks.add(lacking)

    def refusal(self, refusal: Refused) -> str:
        """A refusal of the server as a sentence."""
        if refusal.status in (401, 403):
            return (
                f"{self.client.base} refuses the API key ({refusal.reason}): put the right one "
                "into the environment variable that --api-key-env names"
            )
        hint = ""
        if self.format == "chat" and "template" in refusal.reason.lower():
            hint = f"; give {self.client.base}/completions to have texts continued instead"
        return f"{self.client.base} refuses with {refusal.status}: {refusal.reason}{hint}"


def _parts(address: str) -> tuple[str, str, Format | None]:
    """The base of an address, the model it names, and the format that its path asks for."""
    try:
        url = urlsplit(address)
        _ = url.port  # raises ValueError if it is not a number
    except ValueError:
        url = urlsplit("")
    if not url.hostname or url.username is not None or url.query:
        raise UserError(
            f"{address[:80]!r} is not the address of a server: write it like "
            "http://127.0.0.1:8000/v1, with #NAME at its end for one of several models"
        )
    path, format = url.path.rstrip("/"), None
    for ending, asked in (("/chat/completions", "chat"), ("/completions", "text")):
        if path.endswith(ending):
            path, format = path.removesuffix(ending), asked
            break
    base = urlunsplit((url.scheme, url.netloc, path or "/v1", "", ""))
    return base, url.fragment, format  # type: ignore[return-value]


def _listed_model(client: JsonClient, chosen: str, api_key_variable: str) -> tuple[str, Json]:
    """The name of the model to ask, and what the server says about it."""
    try:
        answer = client.ask("models")
    except Refused as refusal:
        if refusal.status in (401, 403):
            raise UserError(
                f"{client.base} wants an API key ({refusal.reason}): put it into the environment "
                f"variable {api_key_variable}, or name another with --api-key-env"
            ) from None
        if chosen:  # a server may have no list of models
            return chosen, {}
        raise UserError(
            f"{client.base} has no list of models ({refusal.status}: {refusal.reason}): check "
            "whether /v1 is missing in the address, or name the model, as in "
            f"{client.base}#NAME"
        ) from None
    data = answer.get("data")
    models = {
        str(one["id"]): one
        for one in (data if isinstance(data, list) else [])
        if isinstance(one, dict) and isinstance(one.get("id"), str)
    }
    if chosen and (chosen in models or not models):
        return chosen, models.get(chosen, {})
    if not chosen and len(models) == 1:
        return next(iter(models.items()))
    if not models:
        raise UserError(f"{client.base} lists no model; name one, as in {client.base}#NAME")
    listed = ", ".join(list(models)[:8]) + (", ..." if len(models) > 8 else "")
    what = f"has no model {chosen[:60]!r}" if chosen else "has several models"
    raise UserError(f"{client.base} {what}: name one of {listed}, as in {client.base}#NAME")


def _refuse_unknown(params: SamplingParams) -> None:
    """Raise ``UserError`` for parameters that cannot be sent to a remote model."""
    for name, known in (
        ("calculator", params.calculator_use == "off"),
        ("constraint", params.constraint is None),
        ("thinking", params.thinking is None),
        ("best_of", not params.best_of),
        ("logit_bias", not params.logit_bias),
        ("lookup", not params.lookup),
        ("min_new_tokens", not params.min_new_tokens),
        ("prompt_logprobs", not params.prompt_logprobs),
        ("top_logprobs", not params.top_logprobs),
        ("stop_texts", not params.stop_texts),
        ("repetition_penalty", params.repetition_penalty == 1),
        ("presence_penalty", params.presence_penalty == 0),
        ("frequency_penalty", params.frequency_penalty == 0),
    ):
        if not known:
            raise UserError(f"{name} works with a model in this process, not with an address")


def _unknown_field(refusal: Refused, sent: Mapping[str, Any]) -> str | None:
    """The field that a server refused as not supported, if the request can do without it."""
    if refusal.status not in (400, 422, 501):
        return None
    reason = refusal.reason.lower()
    if "max_tokens" in sent and "max_completion_tokens" in reason:
        return "max_tokens"
    if "logprobs" in sent and re.search(r"log[ _]?prob", reason):
        return "logprobs"
    # "Only one completion choice is allowed", "n > 1 is not supported", "'n' must be 1" ...
    several = r"\bn\b|one completion|(multiple|number of) (choices|completions)"
    return "n" if "n" in sent and re.search(several, reason) else None


def is_too_long(refusal: Refused) -> bool:
    """Whether a server refused because the text does not fit the model's context."""
    if refusal.code == "context_length_exceeded":
        return True
    return refusal.status in (400, 413, 422) and bool(_TOO_LONG.search(refusal.reason))
