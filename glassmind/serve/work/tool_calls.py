"""Tools: described to the model, and parsed from its reply.

A model calls a tool in text, in the format of its family (``call_formats``). A model whose chat
template knows no tools is told to use that of Nous Research's Hermes models::

    <tool_call>
    {"name": "weather", "arguments": {"city": "Oslo"}}
    </tool_call>

If a client requires a call (``tool_choice``), the whole reply is constrained to the JSON of one.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any

from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.requests import ChatRequest, NamedTool
from glassmind.serve.work.call_formats import FORMATS, Call, Format, Tools, read_json_calls

OPEN, CLOSE = FORMATS[0].open, FORMATS[0].close
LONGEST_CALL = 1 << 16  # characters; anything longer is text
ID_LENGTH = 9  # of letters and digits: Mistral's chat templates take no other ids
_ID_ALPHABET = string.ascii_letters + string.digits
_FIRST_KEYS = ("name", "parameters", "arguments", "type", "function", "id")


def tools_of(body: ChatRequest) -> list[JsonObject]:
    """The tools in the form of chat templates; empty if the client allows no calls."""
    if body.tool_choice == "none":
        return []
    tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    for tool in tools:  # a function without parameters takes none; templates look for them
        tool["function"].setdefault("parameters", {"type": "object", "properties": {}})
    if isinstance(body.tool_choice, NamedTool):
        wanted = body.tool_choice.function.name
        tools = [tool for tool in tools if tool["function"]["name"] == wanted]
        if not tools:
            raise Refusal(
                400, f"tool_choice names {wanted!r}, which is not a tool", param="tool_choice"
            )
    elif body.tool_choice == "required" and not tools:
        raise Refusal(400, "tool_choice is 'required' and there are no tools", param="tool_choice")
    return tools


def forced_schema(body: ChatRequest, tools: Sequence[JsonObject]) -> JsonObject | None:
    """The JSON schema of a call, if the client requires one.

    The parameters of each tool are a document of their own (``$id``), so that their references are
    looked up in them and not in the schema of the call.
    """
    if body.tool_choice != "required" and not isinstance(body.tool_choice, NamedTool):
        return None
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": {
                    "$id": f"urn:tool:{number}",
                    **(tool["function"]["parameters"] or {"type": "object"}),
                },
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for number, tool in enumerate(tools)
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def tools_in_words(tools: Sequence[Mapping[str, Any]]) -> str:
    """The prompt about tools for a model whose chat template does not support them."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You may call these functions:\n{listed}\n"
        f'To call one, write {OPEN}{{"name": NAME, "arguments": OBJECT}}{CLOSE}'
    )


def schemas_of(tools: Sequence[JsonObject]) -> Tools:
    """The parameters of each tool, by its name."""
    return {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}


def _written(call: Call) -> JsonObject:
    """A call in the form of OpenAI's API."""
    call_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_LENGTH))
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call_id, "type": "function", "function": function}


class ToolCallReader:
    """Finds calls in a streamed reply.

    ``tools`` are the parameters of the available tools; without tools, everything is text. With
    ``forced`` the whole reply is one call. Without ``parallel`` only the first call is kept.
    """

    def __init__(self, tools: Tools, *, forced: bool = False, parallel: bool = True) -> None:
        self._tools, self._forced, self._parallel = tools, forced, parallel
        self._held = ""
        self._said = False  # after any text but white space, a call without a tag cannot follow
        self._n_calls = 0

    def see(self, text: str) -> list[str | JsonObject]:
        """The text that can be shown, and the complete calls."""
        if not self._tools:
            return [text] if text else []
        self._held += text
        if self._forced:
            return []
        found: list[str | JsonObject] = []
        while self._held and not self._holds_bare_call():
            start, format = _opening(self._held)
            if start > 0:
                self._tell(found, self._held[:start])
                self._held = self._held[start:]
            if format is None:
                break
            inner = len(format.open)
            end = self._held.find(format.close, inner) if format.close else -1
            if end < 0 and len(self._held) <= LONGEST_CALL:
                break
            stop = end + len(format.close) if end >= 0 else len(self._held)
            written, self._held = self._held[:stop], self._held[stop:]
            calls = format.read(written[inner:end], self._tools) if end >= 0 else None
            self._tell(found, written if calls is None else calls)
        return found

    def end(self) -> list[str | JsonObject]:
        """The remaining text and calls at the end of the reply."""
        rest, self._held = self._held, ""
        found: list[str | JsonObject] = []
        if rest:
            start, format = _opening(rest)
            calls = None
            if format is not None and start == 0:
                calls = format.read(rest[len(format.open) :], self._tools)
            elif self._tools and not self._said:
                calls = read_json_calls(rest.strip(), self._tools)
            self._tell(found, rest if calls is None else calls)
        return found

    def _tell(self, found: list[str | JsonObject], what: str | list[Call]) -> None:
        if isinstance(what, str):
            self._said = self._said or not what.isspace()
            found.append(what)
            return
        self._said = True
        kept = what if self._parallel else what[: max(0, 1 - self._n_calls)]
        self._n_calls += len(kept)
        found += map(_written, kept)

    def _holds_bare_call(self) -> bool:
        """Whether the reply so far may be the beginning of a call without a tag."""
        if self._said or len(self._held) > LONGEST_CALL:
            return False
        text = self._held.lstrip()
        if not text:
            return False
        if text[0] == "[":
            text = text[1:].lstrip() or "{"
        if text[0] != "{":
            return False
        key = text[1:].lstrip()
        return not key or any(_agree(key, f'"{name}"') for name in _FIRST_KEYS)


def _agree(text: str, start: str) -> bool:
    """Whether ``text`` begins with ``start``, or ``start`` with ``text``."""
    return text.startswith(start) or start.startswith(text)


def _opening(text: str) -> tuple[int, Format | None]:
    """Where the first opening tag in ``text`` is, and its format. Without one: where the text may
    end in the beginning of a tag, or its length."""
    places = [(at, f) for f in FORMATS if (at := text.find(f.open)) >= 0]
    if places:
        return min(places, key=lambda place: place[0])
    longest = max(len(f.open) for f in FORMATS)
    for start in range(max(0, len(text) - longest + 1), len(text)):
        if any(f.open.startswith(text[start:]) for f in FORMATS):
            return start, None
    return len(text), None
