"""Requests that nobody should send: a corpus of right ones, and what can be done to them."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import Any

import httpx2

from glassmind.serve.schemas.responses import Error

JSON = {"content-type": "application/json"}
MESSAGES = [{"role": "user", "content": "What is 12 times 7?"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": [1, 2]}, "b": {"type": "string", "maxLength": 3}},
    "required": ["a"],
}

CORPUS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": "x", "max_tokens": 3}),
    ("/v1/completions", {"prompt": ["x", "y"], "max_tokens": 3, "n": 2, "logprobs": 2}),
    ("/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 3, "echo": True, "stop": ["a"]}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 3, "stream": True, "seed": 1,
                         "stream_options": {"include_usage": True}}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 9, "regex": "(a|b){2,3}"}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 9, "guided_choice": ["a", "b"]}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 9, "grammar": 'root ::= "a" | "b"'}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 3, "temperature": 0.5, "top_p": 0.9,
                         "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "lookup": 3,
                         "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"6": 1}}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3, "logprobs": True,
                              "top_logprobs": 2}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 9, "tools": [TOOL],
                              "tool_choice": "auto"}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 30, "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}),
    ("/v1/chat/completions", {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [
        {"id": "1", "function": {"name": "add", "arguments": "{}"}}]}], "max_tokens": 3,
        "enable_thinking": False, "chat_template_kwargs": {"a": 1}}),
    ("/v1/reason", {"question": "What is 12 times 7?", "samples": 2, "max_tokens": 9}),
    ("/v1/reason", {"question": "x", "stream": True, "max_tokens": 9}),
    ("/v1/embeddings", {"input": ["x", "y"], "encoding_format": "base64"}),
    ("/tokenize", {"prompt": "x"}),
    ("/tokenize", {"messages": MESSAGES}),
    ("/detokenize", {"tokens": [1, 2, 3]}),
]  # fmt: skip


def nested(depth: int, inner: Any = None) -> Any:
    """Lists and objects in each other."""
    for level in range(depth):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


MANY = {"enum": [f"value{number}" for number in range(5000)]}
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 129, 1 << 31, 1 << 63, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "x", "\x00", "\ud800", "😀", "<|im_end|><|end|>", "x" * 9000, "(" * 500,
    "(a{1,999}){1,999}", "((a+)+)+$", "[", "\\", "(?R)", "__class__", "../../etc/passwd", "%s%n",
    [], {}, [[]], [None], {"": None}, {"a": "b"}, list(range(600)), ["x"] * 200, nested(60),
    nested(300), {"$ref": "#"}, {"not": {}}, {"type": ["string", "null"]},
    {"multipleOf": 99999989, "type": "integer"}, {"oneOf": [MANY, MANY]},
    {"$defs": {"m": MANY}, "oneOf": [{"$ref": "#/$defs/m"}] * 50},
    {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(1500)}},
    {"type": "string", "pattern": "^(a|aa)+(b{1,500}c{1,500}){1,500}$"},
]  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request as it is sent."""

    path: str
    content: bytes
    headers: dict[str, str]


def hostile(rng: random.Random) -> Sent:
    """A request of the corpus with up to three things wrong, or with a body that is no JSON."""
    path, body = copy.deepcopy(rng.choice(CORPUS))
    for _ in range(rng.randint(0, 3)):
        body = _changed(body, rng)
    content = json.dumps(body).encode()
    headers = dict(JSON)
    match rng.randrange(12):
        case 0:
            content = content[: rng.randrange(len(content))]
        case 1:
            at = rng.randrange(len(content))
            content = content[:at] + rng.randbytes(rng.randint(1, 9)) + content[at:]
        case 2:
            headers = {
                "content-type": rng.choice(["text/plain", "application/xml", "", "a/b;" * 99])
            }
        case 3:
            headers[rng.choice(["accept", "authorization", "origin", "x-forwarded-for"])] = (
                "a\tb;," * 99
            )
        case 4:
            path += rng.choice(
                ["/", "/../v1/models", "?a=" + "b" * 999, "%00", "%2e%2e/", "/x" * 99]
            )
    return Sent(path, content, headers)


def _changed(value: Any, rng: random.Random) -> Any:
    """``value`` with something in it replaced, removed, doubled or added."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        match rng.randrange(8):
            case 0:
                del value[key]
            case 1:
                value[rng.choice([key + "x", "n", "best_of", "echo", "logprobs", "stop"])] = (
                    copy.deepcopy(rng.choice(VALUES))
                )
            case 2 | 3:
                value[key] = copy.deepcopy(rng.choice(VALUES))
            case _:
                value[key] = _changed(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.3:
            value.insert(at, copy.deepcopy(value[at]))
        else:
            value[at] = _changed(value[at], rng)
        return value
    return copy.deepcopy(rng.choice(VALUES))


def fault(answer: httpx2.Response) -> str | None:
    """What is wrong with the answer to a hostile request; ``None`` if it is a decent one."""
    text = answer.text
    if "Traceback" in text:
        return "a traceback"
    if answer.is_success:
        return "an error in a stream" if '"server_error"' in text else None
    if not 400 <= answer.status_code < 500:
        return f"status {answer.status_code}"
    try:
        error = Error.model_validate(answer.json()).error
    except ValueError:
        return f"an error that is not in OpenAI's form: {text[:200]}"
    return "a long sentence" if len(error.message) > 600 else None
