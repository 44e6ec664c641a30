"""Calls of tools in the text of a reply, found while it comes."""

from __future__ import annotations

import json

import pytest

from glassmind.serve.work.call_formats import Tools
from glassmind.serve.work.tool_calls import CLOSE, OPEN, ToolCallReader

CALL = json.dumps({"name": "add", "arguments": {"a": 1}})
TOOLS: Tools = {"add": {"type": "object"}}
OTHERS: Tools = {"other": {"type": "object"}}


def read(text: str, width: int, tools: Tools = TOOLS) -> tuple[str, list[str]]:
    reader = ToolCallReader(tools)
    parts = [p for at in range(0, len(text), width) for p in reader.see(text[at : at + width])]
    parts += reader.end()
    calls = [part["function"]["arguments"] for part in parts if not isinstance(part, str)]
    return "".join(part for part in parts if isinstance(part, str)), calls


@pytest.mark.parametrize("width", [1, 3, 1000])
def test_calls_are_found_in_text(width: int) -> None:
    called = f"{OPEN}\n{CALL}\n{CLOSE}"
    assert read(called, width) == ("", ['{"a": 1}'])
    assert read(f"Let me see.{called} {called}<tool", width) == (
        "Let me see. <tool",
        ['{"a": 1}'] * 2,
    )
    assert read(called, width, {}) == (called, [])
    assert read(called, width, OTHERS) == (called, [])
    assert read(CALL, width) == ("", ['{"a": 1}'])  # without a tag, as Llama writes it
    for wrong in (f"{OPEN}{{{CLOSE}", f"{OPEN}[1]{CLOSE}", f"{OPEN}{CALL[:-1]}", "<tool_cal", "<"):
        assert read(wrong, width) == (wrong, [])
    assert read(f"{OPEN}{CALL}", width) == ("", ['{"a": 1}'])  # cut off behind the call
