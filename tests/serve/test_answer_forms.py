"""What an answer must look like: under every name that clients have for it, kept or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema
import pytest
from pydantic import ValidationError

from glassmind.llm.local import LocalLLM
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import KEPT, KEPT_CHARACTERS, Constraints, Form, asked_form
from glassmind.serve.schemas.requests import ChatRequest, CompletionRequest

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 3}},
    "required": ["a"],
    "additionalProperties": False,
}
GRAMMAR = 'start: "left" | "right"'
NAMED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}

FIELDS: dict[str, dict[str, Any]] = {
    "response_format": {"response_format": NAMED},
    "json_object with a schema": {"response_format": {"type": "json_object", "schema": SCHEMA}},
    "json_schema": {"json_schema": SCHEMA},
    "grammar": {"grammar": GRAMMAR},
    "regex": {"regex": "left|right"},
    "guided_json": {"guided_json": SCHEMA},
    "guided_json as text": {"guided_json": json.dumps(SCHEMA)},
    "guided_regex": {"guided_regex": "left|right"},
    "guided_choice": {"guided_choice": ["left", "right"]},
    "guided_grammar": {"guided_grammar": 'root ::= "left" | "right"'},
    "structured_outputs.json": {"structured_outputs": {"json": SCHEMA}},
    "structured_outputs.regex": {"structured_outputs": {"regex": "left|right"}},
    "structured_outputs.choice": {"structured_outputs": {"choice": ["left", "right"]}},
    "structured_outputs.grammar": {"structured_outputs": {"grammar": GRAMMAR}},
}
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.removesuffix("/v1"), timeout=60) as client:
        yield client


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("endpoint", ["chat/completions", "completions"])
def test_an_answer_has_the_form_that_was_asked_for(
    http: httpx2.Client, endpoint: str, fields: dict[str, Any]
) -> None:
    asked = {"max_tokens": 60, "seed": 3, **fields}
    asked |= {"messages": MESSAGES} if endpoint == "chat/completions" else {"prompt": "hi"}
    answer = http.post(f"/v1/{endpoint}", json=asked)
    assert answer.status_code == 200, answer.text
    [choice] = answer.json()["choices"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    assert choice["finish_reason"] == "stop"
    if "json" in str(fields):
        jsonschema.validate(json.loads(text), SCHEMA)
    else:
        assert text in ("left", "right")


@pytest.mark.parametrize("body", [
    {"structured_outputs": {"json_object": True}},
    {"response_format": {"type": "json_object"}},
])  # fmt: skip
def test_any_object(body: dict[str, Any]) -> None:
    form = asked_form(CompletionRequest.model_validate({"prompt": "x", **body}))
    assert form is not None and form.kind == "object"


@pytest.mark.parametrize(("body", "field"), [
    ({"guided_choice": ["a"], "regex": "a"}, "guided_choice"),
    ({"structured_outputs": {"choice": ["a"], "regex": "a"}}, "structured_outputs.choice"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_regex": "("}, "guided_regex"),
    ({"guided_grammar": "start: b"}, "guided_grammar"),
    ({"json_schema": {"not": {}}}, "json_schema"),
    ({"guided_choice": []}, "guided_choice"),
    ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
    ({"guided_whitespace_pattern": " *"}, "guided_whitespace_pattern"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_name(
    http: httpx2.Client, body: dict[str, Any], field: str
) -> None:
    answer = http.post("/v1/chat/completions", json={"messages": MESSAGES, **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field


def test_fields_that_say_nothing_ask_for_nothing() -> None:
    for body in ({}, {"grammar": ""}, {"structured_outputs": {}}, {"response_format": None},
                 {"response_format": {"type": "text"}}):  # fmt: skip
        assert asked_form(ChatRequest.model_validate({"messages": MESSAGES, **body})) is None
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"messages": MESSAGES, "guided_regex": 5})


def tool(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "rename", "parameters": parameters}}


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("parameters", [
    {
        "$defs": {"City": {"enum": ["Oslo", "Rome"], "type": "string"}},
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"name": {"enum": ["ann", "bob"]}, "alias": {"$ref": "#/properties/name"}},
        "required": ["name", "alias"],
        "additionalProperties": False,
    },
], ids=["defs", "shadow"])  # fmt: skip
def test_references_resolve_within_a_tools_parameters(
    http: httpx2.Client, parameters: dict[str, Any], others: int
) -> None:
    another = {**tool({"$defs": {"City": {"type": "null"}}, "type": "object"})}
    another["function"]["name"] = "other"
    tools = [tool(parameters), *[another] * others]
    choice = {"type": "function", "function": {"name": "rename"}}
    body = {
        "messages": MESSAGES,
        "tools": tools,
        "tool_choice": choice,
        "max_tokens": 250,
        "seed": 2,
    }
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    [call] = answer.json()["choices"][0]["message"]["tool_calls"]
    jsonschema.validate(json.loads(call["function"]["arguments"]), parameters)
    required = http.post("/v1/chat/completions", json={**body, "tool_choice": "required"})
    assert required.status_code == 200, required.text


def test_constraints_are_made_once(tiny: LocalLLM) -> None:
    tried: list[str] = []
    constraints = Constraints(tiny.vocabulary, lambda grammar, what: tried.append(what))
    form, alias = Form("regex", "a+", "regex"), Form("regex", "a+", "guided_regex")
    assert constraints.known(form) is None
    made = constraints.made(form)
    assert tried == ["regular expression"]
    constraints.keep(form, made)
    assert constraints.known(alias) is made
    with pytest.raises(Refusal, match=re.escape("unclosed group")) as refusal:
        constraints.made(Form("regex", "(", "guided_regex"))
    assert refusal.value.param == "guided_regex"


def test_few_constraints_are_remembered_and_no_long_ones(tiny: LocalLLM) -> None:
    constraints = Constraints(tiny.vocabulary)
    made = constraints.made(Form("choice", ["a"], "guided_choice"))

    def form(number: int, length: int) -> Form:
        return Form("choice", [f"{number}" + "a" * length], "guided_choice")

    for number in range(2 * KEPT):
        constraints.keep(form(number, 10), made)
    assert [constraints.known(form(n, 10)) is made for n in range(2 * KEPT)] == (
        [False] * KEPT + [True] * KEPT
    )
    constraints.keep(form(0, KEPT_CHARACTERS), made)
    assert constraints.known(form(0, KEPT_CHARACTERS)) is None
    constraints.keep(form(1, KEPT_CHARACTERS - 100), made)  # all others have to go
    constraints.keep(form(2, 200), made)
    assert constraints.known(form(2, 200)) is made
    assert constraints.known(form(1, KEPT_CHARACTERS - 100)) is None
