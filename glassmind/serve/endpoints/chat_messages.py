"""From the messages of a request to the ids of a conversation.

OpenAI's clients send messages in a form that chat templates do not all expect: parts instead of a
text, arguments as JSON text instead of an object, the role ``developer``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from glassmind.llm.local import LocalLLM
from glassmind.llm.reply_reader import ReplyReader
from glassmind.serialization import JsonObject
from glassmind.serve.schemas.requests import ChatMessage, ChatRequest
from glassmind.serve.work.tool_calls import tools_in_words


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
        for name in ("name", "reasoning_content", "tool_call_id"):
            if getattr(message, name) is not None:
                given[name] = getattr(message, name)
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


def _arguments(text: str) -> Any:
    """Arguments as an object, which templates serialize themselves; the text if it is not one."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def prompt_of(
    served: LocalLLM, body: ChatRequest, tools: Sequence[JsonObject], *, constrained: bool
) -> list[int]:
    """Ids of the conversation in ``body``, up to the start of the model's turn.

    Raises:
        UserError: the model's template refuses it.
    """
    messages = messages_of(body.messages)
    if tools and served.template is not None and "tools" not in served.template.source:
        words = tools_in_words(tools)
        if messages[0]["role"] == "system":
            messages[0]["content"] += "\n\n" + words
        else:
            messages.insert(0, {"role": "system", "content": words})
    think = False if constrained and body.enable_thinking is None else body.enable_thinking
    ids = served.chat_prompt(
        messages,
        tools=list(tools) or None,
        think=think,
        variables=body.chat_template_kwargs,
    )
    if constrained and ReplyReader(served, ids).channel == "reasoning":
        # The template has opened the reasoning, which cannot hold an answer that must be JSON.
        ids.append(next(i for i, mark in served.marks.items() if mark == "answer"))
    return ids
