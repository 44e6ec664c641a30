"""Calls of tools in the formats of several families, found while the reply comes."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from saying_model import CHATML, chat_tokenizer, saying
from tiny_servers import serving

from glassmind.serve.schemas.requests import ChatRequest
from glassmind.serve.work.call_formats import arguments_of
from glassmind.serve.work.tool_calls import LONGEST_CALL, ToolCallReader, schemas_of, tools_of

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "fine": {"type": "boolean"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
MESSAGES = [{"role": "user", "content": "hi"}]
OSLO = ("weather", {"city": "Oslo", "days": 2})
JSON = '{"name": "weather", "arguments": {"city": "Oslo", "days": 2}}'
LLAMA = '{"name": "weather", "parameters": {"city": "Oslo", "days": 2}}'

WRITTEN: dict[str, tuple[str, list[tuple[str, dict[str, Any]]]]] = {
    "hermes": (f"<tool_call>\n{JSON}\n</tool_call>", [OSLO]),
    "hermes, several": (
        f'<tool_call>{JSON}</tool_call><tool_call>{{"name": "now"}}</tool_call>',
        [OSLO, ("now", {})],
    ),
    "llama 3": (LLAMA, [OSLO]),
    "llama 3, several": (f'{LLAMA}; {{"name": "now", "parameters": {{}}}}', [OSLO, ("now", {})]),
    "llama 3, with its type": (
        '{"type": "function", "function": {"name": "now", "arguments": "{}"}}',
        [("now", {})],
    ),
    "llama 3, tagged": (f"<|python_tag|>{LLAMA}", [OSLO]),
    "llama 3.1, element": (f"<function=weather>{json.dumps(OSLO[1])}</function>", [OSLO]),
    "mistral": (f"[TOOL_CALLS] [{JSON}]", [OSLO]),
    "mistral, newer": (
        '[TOOL_CALLS]weather[ARGS]{"city": "Oslo", "days": 2}[TOOL_CALLS]now[CALL_ID]a1[ARGS]{}',
        [OSLO, ("now", {})],
    ),
    "qwen3-coder": (
        "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n<parameter=fine>\nTrue\n</parameter>\n</function>\n"
        "</tool_call>",
        [("weather", {"city": "Oslo", "days": 2, "fine": True})],
    ),
    "qwen3-coder, text that looks like a number": (
        "<tool_call><function=weather><parameter=city>\n12\n</parameter></function></tool_call>",
        [("weather", {"city": "12"})],
    ),
    "qwen3-coder, without arguments": ("<function=now>\n</function>", [("now", {})]),
    "glm": (
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        [OSLO],
    ),
    "granite": (f"<|tool_call|>[{JSON}]", [OSLO]),
    "phi": (f"<|tool_call|>[{JSON}]<|/tool_call|>", [OSLO]),
    "arguments as text": (
        '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\", \\"days\\": 2}"}'
        "</tool_call>",
        [OSLO],
    ),
}


def reader(**how: Any) -> ToolCallReader:
    tools = tools_of(ChatRequest.model_validate({"messages": MESSAGES, "tools": TOOLS}))
    return ToolCallReader(schemas_of(tools), **how)


def read(text: str, width: int, **how: Any) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    found = reader(**how)
    parts = [p for at in range(0, len(text), width) for p in found.see(text[at : at + width])]
    parts += found.end()
    calls = [part["function"] for part in parts if not isinstance(part, str)]
    said = "".join(part for part in parts if isinstance(part, str))
    return said, [(call["name"], json.loads(call["arguments"])) for call in calls]


@pytest.mark.parametrize("width", [1, 7, 1000])
@pytest.mark.parametrize(("text", "calls"), WRITTEN.values(), ids=WRITTEN)
def test_calls_are_read_in_the_models_own_format(
    text: str, calls: list[tuple[str, dict[str, Any]]], width: int
) -> None:
    assert read(text, width) == ("", calls)
    if not text.startswith("{"):  # JSON without a tag is a call only where it is the whole reply
        assert read(f"Let me see. {text}", width) == ("Let me see. ", calls)


@pytest.mark.parametrize("width", [1, 1000])
@pytest.mark.parametrize("text", [
    '{"answer": 42}', '{"name": "other", "parameters": {}}', "[1, 2]", "{", '{"name": "now"',
    f"See: {LLAMA}", f"{LLAMA} Done.", "[TOOL_CALLS] none", "[TOOL_CALLS]other[ARGS]{}",
    "<function=other></function>", "<tool_call>other\n</tool_call>", "a <b> [c] {d}",
    '[TOOL_CALLS] [{"name": "now", "arguments": [1]}]', "<|python_tag|>print(1)",
])  # fmt: skip
def test_what_is_no_call_stays_text(text: str, width: int) -> None:
    assert read(text, width) == (text, [])


def test_text_that_cannot_be_a_call_is_not_held_back() -> None:
    found = reader()
    assert found.see('{"ans') == ['{"ans']
    assert found.see("wer < 1") == ["wer < 1"]
    long = reader()
    assert not long.see("[TOOL_CALLS]" + "x" * (LONGEST_CALL - 100))
    assert "".join(map(str, long.see("x" * 200))).endswith("x")


def test_without_parallel_calls_the_first_is_kept() -> None:
    for name in ("hermes, several", "mistral, newer", "llama 3, several"):
        assert read(WRITTEN[name][0], 5, parallel=False) == ("", [OSLO])


@pytest.mark.parametrize(("given", "arguments"), [
    ("", {}), ("  ", {}), (None, {}), ("null", {}), ("{}", {}), ({"a": 1}, {"a": 1}),
    ('{"a": 1}', {"a": 1}), ("[1]", None), ("x", None), (5, None),
])  # fmt: skip
def test_no_arguments_are_an_empty_object(given: object, arguments: object) -> None:
    assert arguments_of(given) == arguments


def test_a_reply_with_a_call_over_http() -> None:
    """The tag is a special token here, which is no text otherwise."""
    text, calls = '[TOOL_CALLS] [{"name": "now"}]', [("now", {})]
    tokenizer = chat_tokenizer(CHATML + "{# tools tool_calls #}")
    prompt = saying("", 1, tokenizer).chat_prompt(MESSAGES)
    body = {"messages": MESSAGES, "tools": TOOLS, "temperature": 0, "max_tokens": 200}
    with serving(saying(text, prompt, tokenizer)) as address:
        url = f"{address}/v1/chat/completions"
        [choice] = httpx2.post(url, json=body, timeout=60).json()["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        [call] = choice["message"]["tool_calls"]
        function = call["function"]
        assert [(function["name"], json.loads(function["arguments"]))] == calls
        assert len(call["id"]) == 9 and call["id"].isalnum()
        streamed = httpx2.post(url, json={**body, "stream": True}, timeout=60).text
        assert '"tool_calls":[{"index":0,"id"' in streamed and "TOOL_CALLS" not in streamed
