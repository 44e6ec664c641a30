"""The formats in which models write calls of tools.

Every model family was trained on a format of its own. Most are JSON between two tags, some are JSON
without tags, and a few are not JSON at all::

    <tool_call>{"name": "w", "arguments": {"city": "Oslo"}}</tool_call>         Hermes, Qwen
    {"name": "w", "parameters": {"city": "Oslo"}}                               Llama 3
    [TOOL_CALLS] [{"name": "w", "arguments": {"city": "Oslo"}}]                 Mistral
    [TOOL_CALLS]w[ARGS]{"city": "Oslo"}                                         Mistral, since 2025
    <tool_call><function=w><parameter=city>Oslo</parameter></function></tool_call>  Qwen3-Coder
    <tool_call>w<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>  GLM 4.5
    <|tool_call|>[{"name": "w", "arguments": {"city": "Oslo"}}]                 Granite, Phi-4

A call counts only if it names a tool that the client offered; anything else is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from glassmind.serialization import JsonObject

Tools = Mapping[str, JsonObject]
"""The JSON schema of each tool's parameters, by the tool's name."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's name and its arguments."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Format:
    """Calls between ``open`` and ``close``; if ``close`` is empty, up to the end of the reply.

    ``read`` returns the calls in such a text, or ``None`` if it is something else.
    """

    open: str
    close: str
    read: Callable[[str, Tools], list[Call] | None]


def read_json_calls(text: str, tools: Tools) -> list[Call] | None:
    """Calls in JSON: objects, or lists of them, one after the other."""
    calls: list[Call] = []
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        for one in value if isinstance(value, list) else [value]:
            call = _call(one, tools)
            if call is None:
                return None
            calls.append(call)
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
    return calls or None


_BETWEEN = re.compile(r"[\s;,]*")


def _call(value: object, tools: Tools) -> Call | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    value = inner if isinstance(inner, dict) else value  # as in OpenAI's API
    name = value.get("name", value.get("function"))
    arguments = arguments_of(value.get("arguments", value.get("parameters")))
    if not isinstance(name, str) or name not in tools or arguments is None:
        return None
    return Call(name, arguments)


def arguments_of(given: object) -> JsonObject | None:
    """Arguments as an object. They may be given as one, as its JSON text, or be missing, which
    means ``{}``. ``None`` for anything else."""
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None
    if isinstance(given, dict):
        return given
    return {} if given is None or given == "" or isinstance(given, str) else None


_FUNCTION = re.compile(r"\s*<function=([^>\s]+)>(.*?)(?:</function>\s*|\Z)", re.S)
_PARAMETER = re.compile(
    r"<parameter=([^>\n]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.S
)
_GLM_NAME = re.compile(r"\s*([^\s<]+)\s*(?=<arg_key>|\Z)")
_GLM_ARGUMENT = re.compile(
    r"<arg_key>([^<]*)</arg_key>\s*<arg_value>\n?(.*?)\n?(?:</arg_value>|\Z)", re.S
)
_MISTRAL = re.compile(r"\s*([A-Za-z0-9_.-]+)(?:\[CALL_ID\][A-Za-z0-9]*)?\[ARGS\]")


def _read_tagged(text: str, tools: Tools) -> list[Call] | None:
    """The contents of ``<tool_call>``: JSON, Qwen3-Coder's elements, or GLM's pairs."""
    if text.lstrip().startswith(("{", "[")):
        return read_json_calls(text.strip(), tools)
    if text.lstrip().startswith("<function="):
        return _read_elements(text, tools)
    named = _GLM_NAME.match(text)
    if named is None or named[1] not in tools:
        return None
    found = dict(_GLM_ARGUMENT.findall(text, named.end()))
    return [Call(named[1], _typed(found, tools[named[1]]))]


def _read_elements(text: str, tools: Tools) -> list[Call] | None:
    calls: list[Call] = []
    at = 0
    while at < len(text.rstrip()):
        found = _FUNCTION.match(text, at)
        if found is None or found[1] not in tools:
            return None
        name, body, at = found[1], found[2], found.end()
        if body.lstrip().startswith("{"):  # Llama 3.1 writes JSON in the same element
            arguments = arguments_of(body)
            if arguments is None:
                return None
        else:
            arguments = _typed(dict(_PARAMETER.findall(body)), tools[name])
        calls.append(Call(name, arguments))
    return calls or None


def _read_element(text: str, tools: Tools) -> list[Call] | None:
    return _read_elements("<function=" + text, tools)


def _read_mistral(text: str, tools: Tools) -> list[Call] | None:
    if text.lstrip().startswith(("[", "{")):
        return read_json_calls(text.strip(), tools)
    calls: list[Call] = []
    for part in text.split("[TOOL_CALLS]"):
        head = _MISTRAL.match(part)
        arguments = None if head is None else arguments_of(part[head.end() :])
        if head is None or head[1] not in tools or arguments is None:
            return None
        calls.append(Call(head[1], arguments))
    return calls


def _read_stripped(text: str, tools: Tools) -> list[Call] | None:
    return read_json_calls(text.strip(), tools)


def _typed(found: Mapping[str, str], parameters: JsonObject) -> JsonObject:
    """Arguments written as plain text, converted to the types of the schema."""
    properties = parameters.get("properties")
    known = properties if isinstance(properties, dict) else {}
    return {name.strip(): _value(text, known.get(name.strip())) for name, text in found.items()}


def _value(text: str, schema: object) -> object:
    if not isinstance(schema, dict) or schema.get("type") == "string":
        return text
    literal = text.strip()
    try:
        return json.loads(_PYTHON.get(literal, literal))
    except (ValueError, RecursionError):
        return text


_PYTHON = {"True": "true", "False": "false", "None": "null"}

FORMATS = (
    Format("<tool_call>", "</tool_call>", _read_tagged),
    Format("<function=", "</function>", _read_element),
    Format("[TOOL_CALLS]", "", _read_mistral),
    Format("<|python_tag|>", "", _read_stripped),
    Format("<|tool_call|>", "<|/tool_call|>", _read_stripped),
)

MARKERS = frozenset(
    [*(f.open for f in FORMATS), *(f.close for f in FORMATS if f.close), "[ARGS]", "[CALL_ID]"]
)
"""Spellings that may be special tokens of a model. In a reply that may hold calls they are text."""
