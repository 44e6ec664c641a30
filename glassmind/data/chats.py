"""Conversations: read from files, and encoded for fine-tuning.

Two forms are read, one conversation per line of JSONL or element of a JSON list (either may be
compressed as ``.gz`` or ``.xz``)::

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    {"instruction": "Translate to French.", "input": "the cat", "output": "le chat"}

The second is a conversation of one question (instruction, blank line, input) and one answer.

The model learns the assistant's answers, not the user's messages, so ``chat_documents`` marks the
tokens of every answer, and the token that ends it, as ``completion``. It finds them with any chat
template: the conversation is rendered once up to the answer, with the generation prompt at its end,
and once including the answer; the answer begins where the two rows of ids differ. So the prompt has
exactly the tokens that the model will see in use.

Some templates render an earlier turn differently once another follows (they drop its thinking).
Then one answer's row is not a prefix of the next, and each becomes a document of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassmind.data.columns import COMPLETION
from glassmind.data.json_rows import json_rows
from glassmind.data.packing import Document
from glassmind.data.splits import deal
from glassmind.errors import UserError
from glassmind.records import Problem
from glassmind.tokenize.chat_template.template import ChatTemplate, Message
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

ASSISTANT = "assistant"

MAX_MEMORY = 4 << 30
"""Bytes that the conversations of one file may take, which a compressed file does not show."""

_MESSAGE_BYTES = 400  # of a message beside its text: a dict and the objects in it

Turns = Literal["all", "last"]


@dataclass(frozen=True)
class Chat:
    """One conversation; ``messages`` have a ``role`` and a ``content``, both texts."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class ChatDocuments:
    """The training documents, and the number of turns left out: ``too_long`` for the context."""

    documents: list[Document]
    too_long: int


# ---------------------------------------------------------------------------------- reading


def load_chats(path: str | Path) -> list[Chat]:
    """The conversations in a JSON or JSONL file.

    Raises:
        UserError: the file is missing, empty, too large or not JSON; a conversation has neither
            form, a message has no role or content, or there is no answer.
    """
    file = Path(path)
    chats: list[Chat] = []
    n_bytes = 0
    for row, where in json_rows(file):
        chat = _chat(row, where)
        n_bytes += sum(
            _MESSAGE_BYTES + len(message["role"]) + len(message["content"])
            for message in chat.messages
        )
        if n_bytes > MAX_MEMORY:
            raise UserError(
                f"{where}: the conversations before it take {MAX_MEMORY >> 30} GiB of memory "
                "already; split the file"
            )
        chats.append(chat)
    if not chats:
        raise UserError(f"{file} holds no conversation; {_FORMS}")
    return chats


_FORMS = 'each is {"messages": [...]} or {"instruction": ..., "output": ...}'


def _chat(row: Any, where: str) -> Chat:
    if isinstance(row, dict) and "messages" in row:
        messages = row["messages"]
        if not isinstance(messages, list):
            raise UserError(f'{where}: "messages" must be a list')
        found = [_message(message, number, where) for number, message in enumerate(messages, 1)]
    elif isinstance(row, dict) and "instruction" in row:
        instruction, answer = (_text(row, name, where) for name in ("instruction", "output"))
        given = _text(row, "input", where) if row.get("input") else ""
        question = f"{instruction}\n\n{given}" if given.strip() else instruction
        found = [{"role": "user", "content": question}, {"role": ASSISTANT, "content": answer}]
    else:
        raise UserError(f"{where} is no conversation: {_FORMS}")
    if not any(message["role"] == ASSISTANT for message in found[1:]):
        raise UserError(
            f"{where}: there is no answer: a later message must have the role {ASSISTANT!r}"
        )
    return Chat(tuple(found))


def _message(message: Any, number: int, where: str) -> dict[str, str]:
    where = f"{where}, message {number}"
    if not isinstance(message, dict):
        raise UserError(f"{where} must be an object with a role and a content")
    return {name: _text(message, name, where) for name in ("role", "content")}


def _text(row: dict[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise UserError(f'{where} needs "{name}": a text')
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
    training, validation, _ = deal(chats, _opening, seed, validation=fraction, test=0.0)
    return training, validation


def _opening(chat: Chat) -> str:
    return next(m["content"] for m in chat.messages if m["role"] != "system")


# ---------------------------------------------------------------------------------- encoding


def chat_documents(
    chats: Iterable[Chat],
    tokenizer: ComposedTokenizer,
    template: ChatTemplate,
    *,
    most_tokens: int,
    turns: Turns = "all",
    stop_ids: frozenset[int] = frozenset(),
) -> ChatDocuments:
    """Every conversation as ids, with the answers' tokens marked in ``COMPLETION``.

    ``stop_ids`` are the tokens that end an answer, if the template writes any. Spellings of special
    tokens in the messages stay text. A conversation longer than ``most_tokens`` keeps the turns
    that fit; answers that do not fit completely are left out and counted.

    Raises:
        UserError: the template refuses a conversation, or writes nothing for an answer.
    """
    documents: list[Document] = []
    too_long = 0
    for chat in chats:
        found, left_out = _documents(chat, tokenizer, template, most_tokens, turns, stop_ids)
        documents += found
        too_long += left_out
    return ChatDocuments(documents, too_long)


def _documents(
    chat: Chat,
    tokenizer: ComposedTokenizer,
    template: ChatTemplate,
    most_tokens: int,
    turns: Turns,
    stop_ids: frozenset[int],
) -> tuple[list[Document], int]:
    # A greeting before any user message is not an answer.
    answers = [n for n, message in enumerate(chat.messages) if n and message["role"] == ASSISTANT]
    if turns == "last":
        answers = answers[-1:]
    documents: list[Document] = []
    for done, place in enumerate(answers):
        ids, learned = _answer(chat.messages[: place + 1], tokenizer, template, stop_ids)
        if len(ids) > most_tokens:
            return documents, len(answers) - done  # what follows is longer still
        if documents and np.array_equal(ids[: len(documents[-1])], documents[-1].ids):
            learned[: len(documents[-1])] |= documents[-1][COMPLETION]
            documents[-1] = Document(ids, {COMPLETION: learned})
        else:
            documents.append(Document(ids, {COMPLETION: learned}))
    return documents, 0


def _answer(
    messages: Sequence[Message],
    tokenizer: ComposedTokenizer,
    template: ChatTemplate,
    stop_ids: frozenset[int],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The ids up to the end of the last message, an answer, and a flag for each answer token."""
    whole = np.array(template.encode(tokenizer, messages, add_generation_prompt=False), np.int32)
    before = template.encode(tokenizer, messages[:-1])
    shared = min(len(before), len(whole))
    apart = np.flatnonzero(whole[:shared] != np.array(before[:shared], np.int32))
    start = int(apart[0]) if len(apart) else shared
    # After the token that ends the turn, a template may write a line break for the next.
    special = {*tokenizer.special.values(), *stop_ids}
    ends = [n for n in range(start, len(whole)) if int(whole[n]) in special]
    end = ends[-1] + 1 if ends else len(whole)
    if start == end:
        raise UserError(
            f"{template.name} writes nothing for the answer {messages[-1]['content']!r}"
        )
    learned = np.zeros(end, np.bool_)
    learned[start:] = True
    return whole[:end], learned
