"""From the messages of a request to the ids of a conversation.

OpenAI's clients send messages in a form that not all chat templates expect: parts instead of a
text, arguments as JSON text instead of an object, the role ``developer``. Templates also differ in
what they support. If one takes no system message, the text of that message is put before the
user's. If one does not support tools, the tools, their calls and their results are put into plain
text, since a template silently drops what it does not support.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from glassmind.llm.local import LocalLLM
from glassmind.llm.reply_reader import ReplyReader
from glassmind.serialization import JsonObject
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.requests import ChatMessage, ChatRequest
from glassmind.serve.work.call_formats import arguments_of
from glassmind.serve.work.tool_calls import CLOSE, ID_LENGTH, OPEN, tools_in_words
from glassmind.tokenize.chat_template.template import ChatTemplate


def messages_of(messages: Sequence[ChatMessage]) -> list[JsonObject]:
    """The messages in the form that chat templates expect."""
    plain = []
    for message in messages:
        content = message.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        given: JsonObject = {
            "role": "system" if message.role == "developer" else message.role,
            "content": content or "",
        }
        reasoning = message.reasoning_content
        named = {
            "name": message.name,
            "reasoning_content": message.reasoning if reasoning is None else reasoning,
            "tool_call_id": message.tool_call_id,
        }
        given |= {name: value for name, value in named.items() if value is not None}
        if message.tool_calls:
            given["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.function.name,
                        "arguments": _arguments(call.function.arguments),
                    },
                }
                for call in message.tool_calls
            ]
        plain.append(given)
    return plain


def _arguments(given: str | JsonObject | None) -> str | JsonObject | None:
    """Arguments as an object, which templates serialize themselves; the text if it is not one."""
    arguments = arguments_of(given)
    return given if arguments is None else arguments


def prompt_of(
    served: LocalLLM, body: ChatRequest, tools: Sequence[JsonObject], *, constrained: bool
) -> list[int]:
    """Ids of the conversation in ``body``, up to the start of the model's turn.

    Raises:
        UserError: the model's template refuses it.
        Refusal: it asks for something that the model's template does not support.
    """
    if body.continue_final_message and body.add_generation_prompt:
        raise Refusal(
            400,
            "the final message cannot be continued after the prompt of a new one; leave "
            "add_generation_prompt out",
            param="continue_final_message",
        )
    messages = messages_of(body.messages)
    listed: Sequence[JsonObject] | None = list(tools) or None
    if served.template is not None:
        messages = _as_templated(messages, served.template, tools)
        if "tools" not in served.template.source_for(tools):
            listed = None
    think, variables = _thinking(served, body, constrained=constrained)
    ids = served.chat_prompt(
        messages,
        tools=listed,
        think=think,
        variables=variables,
        begin_answer=body.add_generation_prompt is not False,
        continue_last=bool(body.continue_final_message),
    )
    if constrained and ReplyReader(served, ids).channel == "reasoning":
        # The template has opened the reasoning, but an answer that must be JSON has none.
        ids.append(next(i for i, mark in served.marks.items() if mark == "answer"))
    return ids


def _thinking(
    served: LocalLLM, body: ChatRequest, *, constrained: bool
) -> tuple[bool | None, JsonObject]:
    """Whether the model is asked to reason, and the variables of its template."""
    think = False if constrained and body.enable_thinking is None else body.enable_thinking
    variables = dict(body.chat_template_kwargs or {})
    effort = body.reasoning_effort
    if effort is not None:
        template = served.template
        if template is not None and "reasoning_effort" in template.source:
            variables.setdefault("reasoning_effort", effort)
        elif effort == "none" and served.can_think:
            think = False if think is None else think
        else:
            raise Refusal(
                400,
                f"{served.name} cannot be told how much to reason"
                + ("; 'none' asks it to answer without reasoning" if served.can_think else ""),
                param="reasoning_effort",
            )
    return think, variables


def _as_templated(
    messages: list[JsonObject], template: ChatTemplate, tools: Sequence[JsonObject]
) -> list[JsonObject]:
    """The messages with the fields that ``template`` does not write put into their text."""
    source = template.source_for(tools)
    given = messages
    if "tool_calls" not in source:
        messages = [_in_words(message) for message in messages]
    elif _NINE.search(source):
        messages = [_with_short_ids(message) for message in messages]
    if tools and "tools" not in source:
        words = tools_in_words(tools)
        first, *rest = messages
        if first["role"] == "system":
            messages = [{**first, "content": f"{first['content']}\n\n{words}"}, *rest]
        else:
            messages = [{"role": "system", "content": words}, *messages]
    if any(m["role"] == "system" for m in messages) and not template.takes_system:
        messages = [{**m, "role": "user"} if m["role"] == "system" else m for m in messages]
    return messages if messages == given else _joined(messages)


def _in_words(message: JsonObject) -> JsonObject:
    """The message with tool calls and results in its text instead of in fields."""
    if message["role"] == "tool":
        said = f"<tool_response>\n{message['content']}\n</tool_response>"
        return {"role": "user", "content": said}
    calls = [call["function"] for call in message.get("tool_calls", ())]
    if not calls:
        return message
    written = [f"{OPEN}\n{json.dumps(call, ensure_ascii=False)}\n{CLOSE}" for call in calls]
    rest = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**rest, "content": "\n".join(filter(None, [message["content"], *written]))}


_NINE = re.compile(r"length\s*!=\s*9")  # Mistral's templates reject ids of another length


def _with_short_ids(message: JsonObject) -> JsonObject:
    """The message with the ids of calls in the form that Mistral's templates require."""
    message = dict(message)
    if "tool_call_id" in message:
        message["tool_call_id"] = _short_id(message["tool_call_id"])
    if "tool_calls" in message:
        message["tool_calls"] = [
            {**call, "id": _short_id(call["id"])} for call in message["tool_calls"]
        ]
    return message


def _short_id(given: str) -> str:
    if len(given) == ID_LENGTH and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:ID_LENGTH]


def _joined(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages with consecutive user messages joined, since many templates require the roles
    to alternate."""
    joined: list[JsonObject] = []
    for message in messages:
        before = joined[-1] if joined else None
        if before is not None and before["role"] == message["role"] == "user":
            content = f"{before['content']}\n\n{message['content']}"
            joined[-1] = {**before, "content": content}
        else:
            joined.append(message)
    return joined
