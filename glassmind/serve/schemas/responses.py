"""The bodies of responses, for ``/openapi.json``.

The endpoints build plain objects; the tests validate responses against these models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from glassmind.serialization import JsonObject


class Exact(BaseModel):
    """A response; extra fields are an error."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Exact):
    """The error in one sentence, and the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(Exact):
    """Every response with a status of 400 or above."""

    error: ErrorBody


class UsageDetails(Exact):
    """Tokens of the answer that were reasoning."""

    reasoning_tokens: int


class Usage(Exact):
    """Token counts."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int | None = None
    completion_tokens_details: UsageDetails | None = None


class CompletionLogprobs(Exact):
    """Per token; the first token of an echoed prompt has no log-probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Exact):
    """One continuation."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(Exact):
    """Answer of ``/v1/completions``; streamed, each chunk has this form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class TokenLogprob(Exact):
    """A token, its log-probability, its bytes."""

    token: str
    logprob: float
    bytes: list[int]


class ChatToken(TokenLogprob):
    """A token of a reply, and the most likely ones in its place."""

    top_logprobs: list[TokenLogprob]


class ChatLogprobs(Exact):
    """Per token of the answer, without the reasoning."""

    content: list[ChatToken]


class CalledFunction(Exact):
    """Name, and arguments as JSON text."""

    name: str
    arguments: str


class Call(Exact):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Reply(Exact):
    """The model's message."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None


class ChatChoice(Exact):
    """One reply."""

    index: int
    message: Reply
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class Chat(Exact):
    """Answer of ``/v1/chat/completions``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Chain(Exact):
    """One chain of thought. ``score`` and ``step_scores`` are a verifier's probabilities.

    ``equations_hold`` says for each step whether its equations are true, null where it has none,
    and ``findings`` what exact checking found to be wrong with the chain.
    """

    sample: int
    steps: list[str]
    equations_hold: list[bool | None]
    findings: list[str]
    step_scores: list[float]
    answer: str | None
    score: float | None
    logprob: float
    tokens: int
    finish: Literal["stop", "length"]


class ReasonCost(Exact):
    """The tokens of an answer: read and written by the model, and read by a verifier."""

    prompt_tokens: int
    completion_tokens: int
    judged_tokens: int


class Reason(Exact):
    """Answer of ``/v1/reason``.

    ``chosen`` is the chain that the method took, ``confidence`` the probability that the answer is
    right, null if the model has no calibration. ``warning`` says why not to trust the answer;
    ``examples`` are questions to ask instead, if the question is unlike all of the training data.
    Bare arithmetic asked of a model of word problems is computed exactly: the method is then
    ``calculator``, and there are no chains.
    """

    question: str
    answer: str | None
    method: str
    cost: ReasonCost
    chosen: int | None
    confidence: float | None
    warning: str | None
    examples: list[str]
    votes: dict[str, int]
    weighted: dict[str, float]
    chains: list[Chain]


class Embedding(Exact):
    """A vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(Exact):
    """Answer of ``/v1/embeddings``."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Tokens(Exact):
    """Answer of ``/tokenize``; ``max_model_len`` is the model's context."""

    count: int
    max_model_len: int
    tokens: list[int]
    texts: list[str]


class TokenizerInfo(Exact):
    """Answer of ``/tokenizer_info``: how a text begins and ends, and the chat template."""

    bos_token: str | None
    eos_token: str | None
    chat_template: str | None


class Text(Exact):
    """Answer of ``/detokenize``."""

    prompt: str


class Model(Exact):
    """A served model. ``format`` is its input: ``chat``, ``question``, or ``text`` for a model that
    only continues text."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int
    format: Literal["chat", "question", "text"]


class Models(Exact):
    """Answer of ``/v1/models``."""

    object: Literal["list"]
    data: list[Model]


class Health(Exact):
    """Answer of ``/health``."""

    status: Literal["ok"]


ERRORS: dict[int | str, JsonObject] = {
    status: {"model": Error} for status in (400, 401, 403, 404, 408, 413, 422, 429, 500, 503)
}
"""The error responses of every endpoint."""


def of(name: str) -> dict[int | str, JsonObject]:
    """The responses of an endpoint: the model of this name, or an ``Error``."""
    return {**ERRORS, 200: {"model": globals()[name]}}
