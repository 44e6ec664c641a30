"""The bodies of requests, with every bound.

Types are strict (the text ``"5"`` is not a number), numbers are finite, every list and text has a
maximum length. A field of other servers that would change the answer, but that this one does not
support, is refused if it is set; fields that change nothing (``user``, ``metadata`` ...) are
ignored, because clients send them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from glassmind.generate.request import MOST_GUESSES
from glassmind.serialization import JsonObject

MAX_CHOICES = 128  # n and best_of
MAX_PROMPTS = 128  # in one request
MAX_MESSAGES = 2048
MAX_TOKENS = 1 << 20  # the model's context is a tighter limit


def _unset(value: object) -> None:
    if value is not None:
        raise ValueError("this server does not know this field; leave it out")


Unsupported = Annotated[None, BeforeValidator(_unset)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 24)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS)]
Ids = Annotated[list[TokenId], Field(min_length=1)]
ManyIds = Annotated[list[Ids], Field(min_length=1, max_length=MAX_PROMPTS)]
Prompt = str | Ids | Texts | ManyIds


class Strict(BaseModel):
    """Strict types, finite numbers."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    """``include_usage``: a final chunk with the token counts."""

    include_usage: bool = False


class NamedSchema(Strict):
    """A JSON schema with a name, as ``response_format`` wants it."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, populate_by_name=True)

    name: str = Field(default="answer", max_length=256)
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextFormat(Strict):
    """Free text, the default."""

    type: Literal["text"]


class JsonFormat(Strict):
    """Any JSON object; with ``schema``, as llama.cpp has it, one that fits."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, populate_by_name=True)

    type: Literal["json_object"]
    schema_: JsonObject | None = Field(default=None, alias="schema")


class SchemaFormat(Strict):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")]

Pattern = Annotated[str, Field(max_length=10_000)]
Grammar = Annotated[str, Field(max_length=100_000)]
Choices = Annotated[list[str], Field(min_length=1, max_length=1_000)]
Schema = JsonObject | Annotated[str, Field(max_length=1 << 20)]
"""A JSON schema, or its text."""


class StructuredOutputs(Strict):
    """vLLM's name for what an answer must look like: one of these."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, populate_by_name=True)

    json_: Schema | None = Field(default=None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Grammar | None = None
    json_object: bool | None = None
    structural_tag: Unsupported = None
    whitespace_pattern: Unsupported = None
    disable_any_whitespace: Unsupported = None
    disable_additional_properties: Unsupported = None


class Sampled(Strict):
    """What every endpoint that samples understands. ``seed``: none given is a random one.

    The form of an answer can be given by OpenAI's ``response_format``, vLLM's
    ``structured_outputs`` and older ``guided_...``, llama.cpp's ``json_schema`` and ``grammar``, or
    ``regex``. ``serve.constraints`` reads them; a request may use one.
    """

    model: str = Field(default="", max_length=512)
    temperature: float | None = Field(default=None, ge=0, le=100)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=1 << 24)
    min_p: float | None = Field(default=None, ge=0, le=1)
    lookup: int | None = Field(default=None, ge=0, le=MOST_GUESSES)
    calculator: bool | None = None
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        default=None, max_length=1024
    )
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    n: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    seed: int | None = Field(default=None, ge=-(1 << 63), lt=1 << 63)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    regex: Pattern | None = None
    json_schema: JsonObject | None = None
    grammar: Grammar | None = None
    guided_json: Schema | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Grammar | None = None
    guided_whitespace_pattern: Unsupported = None


class CompletionRequest(Sampled):
    """Body of ``/v1/completions``. A prompt may be text, token ids, or a list of either."""

    prompt: Prompt
    max_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)
    best_of: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    suffix: Unsupported = None


class FunctionCall(Strict):
    """The call of a tool: its name, and its arguments as JSON text."""

    name: str = Field(min_length=1, max_length=256)
    arguments: str


class ToolCall(Strict):
    """A call in a message of the assistant."""

    id: str = Field(default="", max_length=256)
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(Strict):
    """A part of a message; text is the only supported kind."""

    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(max_length=256)] | None = None
    name: str | None = Field(default=None, max_length=256)
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=128)
    tool_call_id: str | None = Field(default=None, max_length=256)


class Function(Strict):
    """A function the model may call; ``parameters`` is a JSON schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Strict):
    """A tool; a function is the only supported kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    """A function's name."""

    name: str = Field(min_length=1, max_length=256)


class NamedTool(Strict):
    """``tool_choice``: this function and no other."""

    type: Literal["function"]
    function: NamedFunction


def _no_arguments(variables: JsonObject) -> JsonObject:
    taken = sorted(_ARGUMENTS & variables.keys())
    if taken:
        raise ValueError(f"{taken[0]} is not for a client to set")
    return variables


_ARGUMENTS = {"add_generation_prompt", "documents", "messages", "self", "tokenizer", "tools"}
TemplateVariables = Annotated[JsonObject, Field(max_length=32), AfterValidator(_no_arguments)]


class ChatRequest(Sampled):
    """Body of ``/v1/chat/completions``.

    ``chat_template_kwargs`` are passed to the model's chat template. ``enable_thinking`` false asks
    for an answer without reasoning, if the model supports it.
    """

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[Tool] | None = Field(default=None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: TemplateVariables | None = None
    functions: Unsupported = None
    function_call: Unsupported = None
    audio: Unsupported = None


class ReasonRequest(Strict):
    """Body of ``/v1/reason``: a question, the method that answers it, and the number of chains."""

    question: str = Field(min_length=1)
    method: str = Field(default="", max_length=512)
    model: str = Field(default="", max_length=512)
    samples: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    temperature: float | None = Field(default=None, ge=0, le=100)
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    seed: int = Field(default=0, ge=-(1 << 63), lt=1 << 63)
    stream: bool = False


class EmbeddingRequest(Strict):
    """Body of ``/v1/embeddings``."""

    input: Prompt
    model: str = Field(default="", max_length=512)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Unsupported = None


class TokenizeRequest(Strict):
    """Body of ``/tokenize``: a text, or a conversation in the model's chat template."""

    model: str = Field(default="", max_length=512)
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(default=None, min_length=1, max_length=MAX_MESSAGES)
    add_special_tokens: bool = True


class DetokenizeRequest(Strict):
    """Body of ``/detokenize``."""

    tokens: list[TokenId] = Field(max_length=1 << 20)
    model: str = Field(default="", max_length=512)
