"""The bodies of requests, with every bound.

Types are strict (the text ``"5"`` is not a number), numbers are finite, every list and text has a
maximum length. A field that this server does not have is refused, unless it changes nothing
(``foreign``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from glassmind.generate.request import MOST_GUESSES
from glassmind.runs.recipe import CalculatorUse
from glassmind.serialization import JsonObject
from glassmind.serve.schemas.foreign import NEUTRAL, Known

MAX_CHOICES = 128  # n and best_of
MAX_PROMPTS = 128  # in one request
MAX_MESSAGES = 2048
MAX_STOP_TOKENS = 64
MAX_TOKENS = 1 << 20  # the model's context is a tighter limit


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
    """A JSON schema with a name, as in ``response_format``."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, populate_by_name=True)

    name: str = Field(default="answer", max_length=256)
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextFormat(Strict):
    """Free text, the default."""

    type: Literal["text"]


class JsonFormat(Strict):
    """Any JSON object; with llama.cpp's ``schema``, one that fits the schema."""

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


class StructuredOutputs(Known):
    """vLLM's field for the form of an answer; one of these may be set."""

    model_config = ConfigDict(populate_by_name=True)
    harmless: ClassVar[frozenset[str]] = frozenset()
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "disable_any_whitespace": (False,),
        "disable_additional_properties": (False,),
    }

    json_: Schema | None = Field(default=None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Grammar | None = None
    json_object: bool | None = None


class Sampled(Known):
    """The fields of every endpoint that samples. Without ``seed``, the seed is random.

    ``stop_token_ids`` end the answer, as the model's own end tokens do unless ``ignore_eos`` is
    set. No token ends it before ``min_tokens``.

    The form of an answer can be given by OpenAI's ``response_format``, vLLM's
    ``structured_outputs`` and older ``guided_...``, llama.cpp's ``json_schema`` and ``grammar``, or
    ``regex``. ``serve.constraints`` reads them; a request may use one.
    """

    model: str = Field(default="", max_length=512)
    temperature: float | None = Field(default=None, ge=0, le=100)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1, le=1 << 24)
    min_p: float | None = Field(default=None, ge=0, le=1)
    lookup: int | None = Field(default=None, ge=0, le=MOST_GUESSES)
    calculator: bool | CalculatorUse | None = None
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        default=None, max_length=1024
    )
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MAX_STOP_TOKENS)] | None = None
    ignore_eos: bool | None = None
    min_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)
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


class CompletionRequest(Sampled):
    """Body of ``/v1/completions``. A prompt may be text, token ids, or a list of either.

    With ``add_special_tokens`` false, the token that begins a text is not put before it.
    """

    prompt: Prompt
    max_tokens: int | None = Field(default=None, ge=0, le=MAX_TOKENS)
    best_of: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    add_special_tokens: bool | None = None


class FunctionCall(Strict):
    """The call of a tool: its name, and its arguments, an object or its JSON text. No arguments,
    or an empty text, are ``{}``."""

    name: str = Field(min_length=1, max_length=256)
    arguments: str | JsonObject | None = None


class ToolCall(Strict):
    """A call in a message of the assistant."""

    id: str = Field(default="", max_length=256)
    type: Literal["function"] = "function"
    function: FunctionCall


class TextPart(Strict):
    """A part of a message; text is the only supported kind."""

    type: Literal["text"]
    text: str


class ChatMessage(Known):
    """One message of a conversation. ``reasoning`` is vLLM's name for ``reasoning_content``."""

    # Fields of an earlier answer that clients send back.
    harmless: ClassVar[frozenset[str]] = frozenset(
        ("annotations", "cache_control", "id", "provider_specific_fields", "timestamp")
    )
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {}

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(max_length=256)] | None = None
    name: str | None = Field(default=None, max_length=256)
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=128)
    tool_call_id: str | None = Field(default=None, max_length=256)


class Function(Strict):
    """A function the model may call; ``parameters`` is a JSON schema. Other fields, such as what it
    returns, are passed to the chat template."""

    model_config = ConfigDict(extra="allow")

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
        raise ValueError(f"{taken[0]} cannot be set by a client")
    return variables


_ARGUMENTS = {
    *("add_generation_prompt", "continue_final_message", "documents", "messages"),
    *("self", "tokenizer", "tools"),
}
TemplateVariables = Annotated[JsonObject, Field(max_length=32), AfterValidator(_no_arguments)]


class ChatRequest(Sampled):
    """Body of ``/v1/chat/completions``.

    ``chat_template_kwargs`` are passed to the model's chat template. ``enable_thinking`` false asks
    for an answer without reasoning, if the model supports it. With ``continue_final_message`` the
    answer continues the last message; with ``add_generation_prompt`` false nothing is put between
    the last message and the answer. ``parallel_tool_calls`` false keeps one call.
    """

    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {
        **NEUTRAL,
        "add_special_tokens": (False,),
        "echo": (False,),
        "include_reasoning": (True,),
        "separate_reasoning": (True,),
    }

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
    reasoning_effort: str | None = Field(default=None, max_length=32)
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None


class ReasonRequest(Known):
    """Body of ``/v1/reason``: a question, the method that answers it, and the number of chains."""

    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {}

    question: str = Field(min_length=1)
    method: str = Field(default="", max_length=512)
    model: str = Field(default="", max_length=512)
    samples: int | None = Field(default=None, ge=1, le=MAX_CHOICES)
    temperature: float | None = Field(default=None, ge=0, le=100)
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    seed: int = Field(default=0, ge=-(1 << 63), lt=1 << 63)
    stream: bool = False


class EmbeddingRequest(Known):
    """Body of ``/v1/embeddings``."""

    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {}

    input: Prompt
    model: str = Field(default="", max_length=512)
    encoding_format: Literal["float", "base64"] | None = None


class TokenizeRequest(Known):
    """Body of ``/tokenize``: a text, or a conversation in the model's chat template.

    ``add_special_tokens`` puts the token that begins a text before it. With ``parse_special`` the
    spelling of a special token in the text is that token; in messages it never is.
    """

    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = {"return_token_strs": (True, False)}

    model: str = Field(default="", max_length=512)
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(default=None, min_length=1, max_length=MAX_MESSAGES)
    tools: list[Tool] | None = Field(default=None, max_length=128)
    chat_template_kwargs: TemplateVariables | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    add_special_tokens: bool = True
    parse_special: bool = True


class DetokenizeRequest(Strict):
    """Body of ``/detokenize``."""

    tokens: list[TokenId] = Field(max_length=1 << 20)
    model: str = Field(default="", max_length=512)
