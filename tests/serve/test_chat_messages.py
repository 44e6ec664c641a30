"""Messages and tools on templates that know few of them: nothing is lost without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from saying_model import CHATML, chat_tokenizer, saying

from glassmind.errors import UserError
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.endpoints.chat_messages import prompt_of
from glassmind.serve.schemas.requests import ChatRequest
from glassmind.serve.work.tool_calls import forced_schema, tools_of

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
TOOLS = [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}]


def called(arguments: object, call_id: str = "1") -> list[dict[str, Any]]:
    call = {"id": call_id, "type": "function", "function": {"name": "w", "arguments": arguments}}
    return [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "3 C"},
    ]


REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + CHATML
)
DROPS_SYSTEM = CHATML.replace("in messages", "in messages if m.role != 'system'")
ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}{% endfor %}" + CHATML
)
WALKS = CHATML.replace(
    "m.content",
    "m.content ~ (m.tool_calls or []) | map(attribute='function.arguments') | map('items')"
    " | map('list') | join",
)
MISTRAL = CHATML.replace(
    "{% for m in messages %}",
    "{% for m in messages %}{% for call in m.tool_calls or [] %}{% if call.id|length != 9 %}"
    "{{ raise_exception('Tool call IDs should be 9 characters') }}{% endif %}{{ call.id }}"
    "{% endfor %}{{ m.tool_call_id or '' }}",
)


def asking(template: str, tools: str | None = None) -> LocalLLM:
    return saying("", 1, chat_tokenizer(template, tools))


def prompt(llm: LocalLLM, **body: Any) -> str:
    asked = ChatRequest.model_validate({"messages": [USER], **body})
    ids = prompt_of(llm, asked, tools_of(asked), constrained=False)
    return llm.tokenizer.decode(ids, skip_special=False)  # type: ignore[call-arg]


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, DROPS_SYSTEM, ALTERNATES])
def test_where_no_system_message_is_written_its_text_is_the_users(template: str) -> None:
    llm = asking(template)
    asked = prompt(llm, messages=[SYSTEM, USER])
    assert asked == prompt(
        asking(CHATML), messages=[{"role": "user", "content": "Be brief.\n\nhi"}]
    )
    with_tools = prompt(llm, tools=TOOLS)
    assert "You may call these functions" in with_tools and with_tools.count("<|im_start|>") == 2


def test_a_template_with_a_system_message_gets_one() -> None:
    asked = prompt(asking(CHATML), messages=[SYSTEM, USER], tools=TOOLS)
    assert asked.startswith("<|im_start|>system\nBe brief.\n\nYou may call these functions")
    two = [USER, USER]
    assert prompt(asking(CHATML), messages=two).count("<|im_start|>user") == 2


@pytest.mark.parametrize("template", [CHATML, ALTERNATES, REFUSES_SYSTEM])
def test_calls_and_results_are_text_where_the_template_has_none(template: str) -> None:
    call = '<tool_call>\n{"name": "w", "arguments": {"city": "Oslo"}}\n</tool_call>'
    turns = [*called('{"city": "Oslo"}'), {"role": "user", "content": "so?"}]
    asked = prompt(asking(template), messages=turns, tools=TOOLS)
    assert f"<|im_start|>assistant\n{call}<|im_end|>" in asked
    assert "user\n<tool_response>\n3 C\n</tool_response>\n\nso?<|im_end|>" in asked


@pytest.mark.parametrize("arguments", ["", "  ", "null", None, {}, "{}"])
def test_no_arguments_are_an_empty_object_to_a_template(arguments: object) -> None:
    assert prompt(asking(WALKS), messages=called(arguments)) == prompt(
        asking(WALKS), messages=called("{}")
    )
    assert "[('a', 1)]" in prompt(asking(WALKS), messages=called('{"a": 1}'))


@pytest.mark.parametrize(("given", "shown"), [
    ("aB3dE5gH7", "aB3dE5gH7aB3dE5gH7"),  # as the server gives them
    ("call_0123456789abcdef", None),
    ("aB3-E5gH7", "aB3-E5gH7aB3-E5gH7"),
])  # fmt: skip
def test_ids_have_nine_letters_where_the_template_wants_it(given: str, shown: str | None) -> None:
    asked = prompt(asking(MISTRAL), messages=called("{}", given))
    written = asked.split("<|im_end|>\n")
    ids = written[1][:9], written[2][:9]
    assert ids[0] == ids[1] and ids[0].isalnum()
    assert (given in asked) == (shown is not None and given.isalnum())


def test_with_tools_the_template_for_tools_is_taken() -> None:
    llm = asking(CHATML, "T:{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}")
    assert prompt(llm) == prompt(asking(CHATML))
    assert prompt(llm, tools=TOOLS) == f"T:{json.dumps(TOOLS)}hi"
    assert prompt(llm, tools=TOOLS, tool_choice="none") == prompt(asking(CHATML))


def test_what_is_said_of_a_function_reaches_the_template() -> None:
    llm = asking("{{ tools[0].function | tojson }}")
    tool = {"type": "function", "function": {"name": "w", "return": {"type": "number"}}}
    told = json.loads(prompt(llm, tools=[tool]))
    assert told["return"] == {"type": "number"}
    assert told["parameters"] == {"type": "object", "properties": {}}  # there are none
    asked = ChatRequest.model_validate(
        {"messages": [USER], "tools": [tool], "tool_choice": "required"}
    )
    schema = forced_schema(asked, tools_of(asked))
    assert schema is not None and schema["properties"]["name"] == {"const": "w"}


def test_the_effort_of_reasoning_is_the_templates_to_know() -> None:
    knows = asking(CHATML + "{{ reasoning_effort or '' }}")
    assert prompt(knows, reasoning_effort="high").endswith("high")
    thinks = asking(CHATML + "{{ '' if enable_thinking is false else '<think>' }}")
    assert prompt(thinks).endswith("<think>")
    assert not prompt(thinks, reasoning_effort="none").endswith("<think>")
    for llm in (thinks, asking(CHATML)):
        with pytest.raises(Refusal, match="cannot be told how much to reason"):
            prompt(llm, reasoning_effort="high")


def test_a_template_that_leaves_the_message_out_cannot_continue_it() -> None:
    llm = asking("{% for m in messages %}{{ m.role }}{% endfor %}")
    with pytest.raises(UserError, match="does not write the content of the last message"):
        prompt(llm, continue_final_message=True)
