"""Tools: described to the model, and parsed from its reply.

A model calls a tool in text. Most of today's open models use the format of Nous Research's Hermes
models, which their chat templates describe::

    <tool_call>
    {"name": "weather", "arguments": {"city": "Oslo"}}
    </tool_call>

If a client requires a call (``tool_choice``), the whole reply is constrained to the JSON of one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.requests import ChatRequest, NamedTool

OPEN, CLOSE = "<tool_call>", "</tool_call>"
LONGEST_CALL = 1 << 16  # characters; what is longer is text


def tools_of(body: ChatRequest) -> list[JsonObject]:
    """The tools in the form of chat templates; empty if the client allows no calls."""
    if body.tool_choice == "none":
        return []
    tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()]
    if isinstance(body.tool_choice, NamedTool):
        wanted = body.tool_choice.function.name
        tools = [tool for tool in tools if tool["function"]["name"] == wanted]
        if not tools:
            raise Refusal(
                400, f"tool_choice names {wanted!r}, which is no tool", param="tool_choice"
            )
    elif body.tool_choice == "required" and not tools:
        raise Refusal(400, "tool_choice is 'required' and there are no tools", param="tool_choice")
    return tools


def forced_schema(body: ChatRequest, tools: Sequence[JsonObject]) -> JsonObject | None:
    """The JSON schema of a call, where the client insists on one.

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
                    **(tool["function"].get("parameters") or {"type": "object"}),
                },
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for number, tool in enumerate(tools)
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def tools_in_words(tools: Sequence[Mapping[str, Any]]) -> str:
    """The prompt about tools for a model whose chat template has none."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You may call these functions:\n{listed}\n"
        f'To call one, write {OPEN}{{"name": NAME, "arguments": OBJECT}}{CLOSE}'
    )


def parse_call(text: str, names: frozenset[str]) -> JsonObject | None:
    """The call in ``text``, in the form of OpenAI's API; ``None`` if it is not a call."""
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or call.get("name") not in names:
        return None
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        return None
    function = {"name": call["name"], "arguments": json.dumps(arguments)}
    return {"id": f"call_{secrets.token_hex(8)}", "type": "function", "function": function}


class ToolCallReader:
    """Finds calls in a streamed reply.

    ``names`` are the available tools; without any, everything is text. With ``forced`` the whole
    reply is one call.
    """

    def __init__(self, names: frozenset[str], *, forced: bool = False) -> None:
        self._names, self._forced = names, forced
        self._held = ""

    def see(self, text: str) -> list[str | JsonObject]:
        """The text that can be shown, and the complete calls."""
        if not self._names:
            return [text] if text else []
        self._held += text
        if self._forced:
            return []
        found: list[str | JsonObject] = []
        while self._held:
            start = self._held.find(OPEN)
            if start < 0:
                start = _possible_start(self._held)
            if start > 0:
                found.append(self._held[:start])
                self._held = self._held[start:]
            end = self._held.find(CLOSE)
            if not self._held.startswith(OPEN) or (end < 0 and len(self._held) <= LONGEST_CALL):
                break
            stop = end + len(CLOSE) if end >= 0 else len(self._held)
            written, self._held = self._held[:stop], self._held[stop:]
            call = parse_call(written[len(OPEN) : end].strip(), self._names) if end >= 0 else None
            found.append(written if call is None else call)
        return found

    def end(self) -> list[str | JsonObject]:
        """The remaining text and calls at the end of the reply."""
        rest, self._held = self._held, ""
        if not rest:
            return []
        call = parse_call(rest.removeprefix(OPEN).strip(), self._names) if self._names else None
        return [rest if call is None else call]


def _possible_start(text: str) -> int:
    """The index where ``OPEN`` may begin at the end of ``text``; its length if it does not."""
    for start in range(max(0, len(text) - len(OPEN) + 1), len(text)):
        if OPEN.startswith(text[start:]):
            return start
    return len(text)
