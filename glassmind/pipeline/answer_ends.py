"""The token with which a fine-tuned model learns to end an answer.

A model stops because it has learned to write a token that ends its turn. Most chat templates write
one after every answer. In others a turn ends with a line break, or with the marker of the next
role, and a model that is trained on such text never learns to stop. Then the token that ends a text
is put after each answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document
from glassmind.data.chat_encoding import ChatDocuments, Turns, chat_documents
from glassmind.data.chats import ASSISTANT, Chat
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


@dataclass(frozen=True)
class AnswerEnd:
    """``token_id`` ends an answer; ``None`` if neither template nor tokenizer has such a token.
    ``written`` says that the template writes it."""

    token_id: int | None
    written: bool

    @classmethod
    def of(
        cls, template: ChatTemplate, tokenizer: ComposedTokenizer, stop_ids: frozenset[int]
    ) -> AnswerEnd:
        """How answers end in ``template``; ``stop_ids`` are the tokens that end a text."""
        written = template.turn_end(tokenizer)
        if written is not None:
            return cls(written, True)
        eos = tokenizer.facts.eos_token
        named = None if eos is None else tokenizer.id_of(eos)
        return cls(named if named in stop_ids else min(stop_ids, default=None), False)

    def explanation(self, template: ChatTemplate, tokenizer: ComposedTokenizer) -> str:
        """A warning if the template does not teach the model to stop; otherwise empty."""
        if self.written:
            return ""
        if self.token_id is None:
            return (
                f"{template.name} writes no special token after an answer, and the tokenizer "
                "names none that ends a text: the model does not learn to stop"
            )
        return (
            f"{template.name} writes no special token after an answer: "
            f"{tokenizer.token_text(self.token_id)} is put there, so that the model learns to stop"
        )


def ended_documents(
    chats: Iterable[Chat],
    tokenizer: ComposedTokenizer,
    template: ChatTemplate,
    end: AnswerEnd,
    *,
    most_tokens: int,
    turns: Turns = "all",
    stop_ids: frozenset[int] = frozenset(),
) -> ChatDocuments:
    """Like ``chat_documents``. If the template writes no token after an answer, each answer is the
    end of a document of its own, followed by the token of ``end``."""
    if end.written or end.token_id is None:
        return chat_documents(
            chats, tokenizer, template, most_tokens=most_tokens, turns=turns, stop_ids=stop_ids
        )
    found = chat_documents(
        [cut for chat in chats for cut in _up_to_each_answer(chat, turns)],
        tokenizer,
        template,
        most_tokens=most_tokens - 1,
        turns="last",
        stop_ids=stop_ids,
    )
    return replace(
        found, documents=[_with_end(document, end.token_id) for document in found.documents]
    )


def _up_to_each_answer(chat: Chat, turns: Turns) -> list[Chat]:
    answers = [n for n, message in enumerate(chat.messages) if n and message["role"] == ASSISTANT]
    kept = answers[-1:] if turns == "last" else answers
    return [replace(chat, messages=chat.messages[: place + 1]) for place in kept]


def _with_end(document: Document, end: int) -> Document:
    ids = np.append(document.ids, np.int32(end))
    return Document(ids, {COMPLETION: np.append(document[COMPLETION], True)})
