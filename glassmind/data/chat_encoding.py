"""Conversations as rows of tokens, in which the assistant's answers are marked.

The model learns the assistant's answers, not the user's messages, so ``chat_documents`` marks the
tokens of every answer, and the token that ends it, as ``completion``. It finds them with any chat
template: the conversation is rendered once up to the answer, with the generation prompt at its end,
and once including the answer; the answer begins where the two rows of ids differ. So the prompt has
exactly the tokens that the model will see in use.

Templates silently leave out what they do not support, and the model would learn an empty answer
where the file has a tool call. So tools, or a field of an answer, that the template does not write
are refused by name.

Some templates render an earlier turn differently once another follows (they drop its thinking).
Then one answer's row is not a prefix of the next, and each becomes a document of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document
from glassmind.data.chats import ASSISTANT, Chat, opening
from glassmind.errors import UserError
from glassmind.tokenize.chat_template.template import ChatTemplate, Message
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

Turns = Literal["all", "last"]

# Fields of an answer that the template need not write; it must write all others.
_NOT_SAID = frozenset({"role", "content", "name", "id", "tool_call_id"})


@dataclass(frozen=True)
class ChatDocuments:
    """The training documents, and the number of turns left out as ``too_long`` for the context."""

    documents: list[Document]
    too_long: int


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
    answers = [n for n in answers if n not in chat.unlearned]
    if chat.tools:
        _require_tools(chat, template)
    documents: list[Document] = []
    for done, place in enumerate(answers):
        messages = chat.messages[: place + 1]
        _require_written(messages, chat.tools, template)
        ids, learned = _answer(messages, chat.tools, tokenizer, template, stop_ids)
        if len(ids) > most_tokens:
            return documents, len(answers) - done  # the later ones are longer still
        if documents and np.array_equal(ids[: len(documents[-1])], documents[-1].ids):
            learned[: len(documents[-1])] |= documents[-1][COMPLETION]
            documents[-1] = Document(ids, {COMPLETION: learned})
        else:
            documents.append(Document(ids, {COMPLETION: learned}))
    return documents, 0


def _require_tools(chat: Chat, template: ChatTemplate) -> None:
    """Raise ``UserError`` if the template leaves out the tools of a conversation."""
    if template.render(chat.messages, tools=chat.tools) == template.render(chat.messages):
        raise UserError(
            f'{template.name} does not write the "tools" of a conversation (the one that begins '
            f"{opening(chat)[:40]!r}): leave them out of the file, or set chats.template to one "
            "that writes them"
        )


def _require_written(
    messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], template: ChatTemplate
) -> None:
    """Raise ``UserError`` if the template leaves out a field of the last message, an answer."""
    *before, answer = messages
    for name in answer.keys() - _NOT_SAID:
        without = {key: value for key, value in answer.items() if key != name}
        texts = [
            template.render([*before, last], tools=tools or None, add_generation_prompt=False)
            for last in (answer, without)
        ]
        if texts[0] == texts[1]:
            raise UserError(
                f"{template.name} does not write {name!r}, which the answer "
                f"{str(answer['content'])[:40]!r} has: leave it out of the file, or set "
                "chats.template to one that writes it"
            )


def _answer(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    tokenizer: ComposedTokenizer,
    template: ChatTemplate,
    stop_ids: frozenset[int],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The ids up to the end of the last message, an answer, and a flag for each answer token."""
    encode = partial(template.encode, tokenizer, tools=tools or None)
    whole = np.array(encode(messages, add_generation_prompt=False), np.int32)
    before = encode(messages[:-1])
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
