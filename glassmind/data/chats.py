"""Conversations, as files have them; ``chat_encoding`` makes rows of tokens of them.

Two forms are read, a conversation a row, from whatever ``row_files`` reads::

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    {"instruction": "Translate to French.", "input": "the cat", "output": "le chat"}

The second is a conversation of one question (instruction, blank line, input) and one answer. In the
first, a row may have ``tools`` (JSON schemas, as a list or as a JSON text), and a message whatever
its chat template knows: ``tool_calls``, ``tool_call_id``, ``reasoning_content``. An answer of
``weight`` 0 is read and not learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmind.data.rows.bad_rows import Checked, OnBadRow, Row, RowFault, check_rows, silence
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import deal
from glassmind.errors import UserError
from glassmind.records import Problem
from glassmind.tokenize.chat_template.template import Message

ASSISTANT = "assistant"


@dataclass(frozen=True)
class Chat:
    """One conversation; ``messages`` have a ``role``, mostly a ``content``, and what else a chat
    template knows. ``tools`` are JSON schemas; the messages numbered ``unlearned`` (from 0) are
    answers that are only read."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    unlearned: frozenset[int] = frozenset()


# ---------------------------------------------------------------------------------- reading


def load_chats(
    path: str | Path, *, on_bad_row: OnBadRow = "stop", say: Callable[[str], object] = silence
) -> list[Chat]:
    """The conversations in a file.

    ``on_bad_row`` ``"skip"`` leaves out the rows that are none, and tells ``say`` which.

    Raises:
        UserError: the file is missing, empty or cannot be read; a conversation has neither form, a
            message has no role or content, or there is no answer to learn.
    """
    chats = check_chats(path).usable(on_bad_row, say)
    if not chats:
        raise UserError(f"{path} holds no conversation; {_FORMS}")
    return chats


def check_chats(path: str | Path) -> Checked[Chat]:
    """The same, with the bad rows beside the conversations. Raises ``UserError`` for a file that
    cannot be read at all."""
    return check_rows(str(path), file_rows(Path(path)), _chat, lambda chat: _size(chat.messages))


_FORMS = 'each is {"messages": [...]} or {"instruction": ..., "output": ...}'


def _size(value: Any) -> int:
    """About how many bytes a JSON value takes in memory."""
    if isinstance(value, str):
        return 50 + len(value)
    if isinstance(value, dict):
        return 250 + sum(50 + _size(member) for member in value.values())
    return 60 + sum(map(_size, value)) if isinstance(value, (list, tuple)) else 30


def _chat(row: Row) -> Chat:
    values = row.values
    if isinstance(values, dict) and values.get("messages") is not None:
        return _of_messages(values)
    if not isinstance(values, dict) or "instruction" not in values:
        raise RowFault(f"is no conversation: {_FORMS}")
    instruction, answer = (_text(values, name) for name in ("instruction", "output"))
    given = _text(values, "input") if values.get("input") else ""
    question = f"{instruction}\n\n{given}" if given.strip() else instruction
    return Chat(({"role": "user", "content": question}, {"role": ASSISTANT, "content": answer}))


def _of_messages(values: Mapping[str, Any]) -> Chat:
    messages = _from_json(values["messages"], "messages")
    if not isinstance(messages, list):
        raise RowFault('is no conversation: "messages" must be a list')
    tools = _from_json(values.get("tools"), "tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise RowFault('has "tools" that are not a list of objects')
    found, unlearned = [], set()
    for number, message in enumerate(messages):
        try:
            said, learned = _message(message)
        except RowFault as fault:
            raise RowFault(f"message {number + 1} {fault}") from None
        found.append(said)
        if not learned:
            unlearned.add(number)
    answers = {n for n, message in enumerate(found) if n and message["role"] == ASSISTANT}
    if not answers:
        raise RowFault(f"has no answer: a later message must have the role {ASSISTANT!r}")
    if answers <= unlearned:
        raise RowFault("has no answer to learn: all have the weight 0")
    return Chat(tuple(found), tuple(tools), frozenset(unlearned))


def _from_json(value: Any, name: str) -> Any:
    """A value, also one that a table has as JSON text."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise RowFault(f'has "{name}" that are not JSON') from None


def _message(message: Any) -> tuple[dict[str, Any], bool]:
    """The message as a template is given it, and whether it is learned."""
    if not isinstance(message, dict):
        raise RowFault("must be an object with a role and a content")
    # Tables have every field in every row, and nothing in most.
    given = {name: value for name, value in message.items() if value is not None and value != []}
    _text(given, "role")
    weight = given.pop("weight", 1)
    if weight not in (0, 1):
        raise RowFault(f'has the "weight" {str(weight)[:20]}: it must be 0 or 1')
    if "tool_calls" in given:
        given["tool_calls"] = _tool_calls(given["tool_calls"])
        given.setdefault("content", "")
    _text(given, "content")
    return given, bool(weight)


def _tool_calls(calls: Any) -> list[dict[str, Any]]:
    """Calls with their arguments as objects: OpenAI's form has them as JSON text, and templates
    write what they are given."""
    found = []
    for call in calls if isinstance(calls, list) else [None]:
        if not isinstance(call, dict):
            raise RowFault('has "tool_calls" that are not a list of calls with a name')
        function = call.get("function", call)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowFault('has "tool_calls" that are not a list of calls with a name')
        arguments = function.get("arguments")
        if isinstance(arguments, str) or arguments is None:
            arguments = _from_json(arguments or "{}", "arguments")
        if not isinstance(arguments, dict):
            raise RowFault('has a tool call whose "arguments" are no object')
        called = {**function, "arguments": arguments}
        found.append({**call, "function": called} if "function" in call else called)
    return found


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise RowFault(f'needs "{name}": a text')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise RowFault(f'has a "{name}" with half a character in it (a lone surrogate)') from None
    return value


# ------------------------------------------------------------------------- generated


def problem_chat(problem: Problem) -> Chat:
    """A generated problem as a conversation: the question, and its steps and the answer in words;
    then the user asks how many steps that took, which the assistant can count."""
    lines = [*(step.text for step in problem.steps), f"The answer is {problem.answer}."]
    n = len(problem.steps)
    return Chat(
        (
            {"role": "user", "content": problem.question},
            {"role": ASSISTANT, "content": "\n".join(lines)},
            {"role": "user", "content": "How many steps did that take?"},
            {"role": ASSISTANT, "content": f"It took {n} step{'s' if n > 1 else ''}."},
        )
    )


def split_chats(chats: Sequence[Chat], seed: int, fraction: float) -> tuple[list[Chat], list[Chat]]:
    """Training and validation conversations, split by a hash of seed and first message.

    Conversations that begin with the same words stay together.
    """
    training, validation, _ = deal(chats, opening, seed, validation=fraction, test=0.0)
    return training, validation


def opening(chat: Chat) -> str:
    """The first message that is not the system's."""
    return next(str(m["content"]) for m in chat.messages if m["role"] != "system")
