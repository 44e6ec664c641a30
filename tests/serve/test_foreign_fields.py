"""Fields of other servers: refused by name where they would change the answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from glassmind.serve.access.refusals import invalid_fields
from glassmind.serve.schemas.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ReasonRequest,
    TokenizeRequest,
)

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
TEXT = {"prompt": "hi"}


@pytest.mark.parametrize("fields", [
    {"user": "me", "metadata": {"a": "b"}, "store": True, "cache_prompt": True, "priority": 3},
    {"use_beam_search": False, "length_penalty": 1.0, "mirostat": 0, "mirostat_tau": 5.0},
    {"skip_special_tokens": True, "suffix": None, "functions": [], "bad_words": []},
])  # fmt: skip
def test_what_changes_nothing_is_accepted(fields: dict[str, Any]) -> None:
    ChatRequest.model_validate({**CHAT, **fields})
    CompletionRequest.model_validate({**TEXT, **fields})


@pytest.mark.parametrize(("body", "field", "said"), [
    ({"temperatur": 0.5}, "temperatur", "did you mean temperature?"),
    ({"max_new_tokens": 5}, "max_new_tokens", "does not know"),
    ({"suffix": "x"}, "suffix", "does not know"),
    ({"use_beam_search": True}, "use_beam_search", "only false"),
    ({"use_beam_search": 0}, "use_beam_search", "only false"),
    ({"length_penalty": True}, "length_penalty", "only 1"),
    ({"skip_special_tokens": False}, "skip_special_tokens", "only true"),
    ({"allowed_token_ids": [1]}, "allowed_token_ids", "does not know"),
    ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag", "know"),
    ({"messages": [{"role": "user", "content": "hi", "partial": True}]}, "messages.0.partial", ""),
])  # fmt: skip
def test_what_would_change_the_answer_is_refused(
    body: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(ValidationError) as error:
        ChatRequest.model_validate({**CHAT, **body})
    refusal = invalid_fields(error.value.errors())
    assert refusal.param == field and said in refusal.message


@pytest.mark.parametrize(("kind", "body"), [
    (ReasonRequest, {"question": "q", "top_p": 0.5}),
    (EmbeddingRequest, {"input": "q", "dimensions": 5}),
    (TokenizeRequest, {"prompt": "q", "chat_template": "x"}),
])  # fmt: skip
def test_other_endpoints_ignore_nothing_either(kind: Any, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="does not know this field"):
        kind.model_validate(body)


def test_the_api_document_says_which_fields_there_are() -> None:
    schema = ChatRequest.model_json_schema()
    assert schema["additionalProperties"] is False
    assert {"temperature", "user", "use_beam_search", "stop_token_ids"} <= schema[
        "properties"
    ].keys()
    assert schema["properties"]["use_beam_search"] == {"enum": [False, None]}


def test_a_message_that_came_as_an_answer_can_be_sent_back() -> None:
    answer = {
        "role": "assistant", "content": "hi", "refusal": None, "annotations": [], "audio": None,
        "function_call": None, "tool_calls": None, "reasoning": "hm",
    }  # fmt: skip
    message = ChatRequest.model_validate({"messages": [answer, *CHAT["messages"]]}).messages[0]
    assert message.reasoning == "hm"
