"""A conversation of one person with a model, as in ``glassmind chat``.

A ``Speaker`` is the model's side, in this process (``LocalSpeaker``) or behind an address
(``remote_conversation``). Iterating over a reply runs the model, and closing the iterator ends the
reply.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams
from glassmind.llm.llm import Format
from glassmind.llm.local import LocalLLM
from glassmind.llm.prompts import Message
from glassmind.llm.reply_reader import Piece, ReplyReader


@dataclass(frozen=True)
class Part:
    """The next part of a reply: text to show, its tokens with their log-probabilities if these are
    known, and in the last part the reason why the reply ended."""

    pieces: Sequence[Piece] = ()
    scored: Sequence[tuple[str, float]] = ()
    finish: str = ""


class TooLongError(Exception):
    """The conversation does not fit the model's context; the message says so."""


class Speaker(Protocol):
    """The model's side of a conversation.

    ``format`` is the model's input, and ``can_think`` says whether it can be told to reason first
    or to answer without reasoning.
    """

    @property
    def name(self) -> str: ...

    @property
    def format(self) -> Format: ...

    @property
    def can_think(self) -> bool: ...

    def warning(self, question: str) -> str | None:
        """A sentence for the person who asks, if the answer should not be trusted."""
        ...

    def speak(
        self, messages: Sequence[Message], params: SamplingParams, think: bool | None
    ) -> Generator[Part, None, None]:
        """The reply to ``messages``, part by part; the last part has ``finish``.

        Raises:
            TooLongError: the conversation does not fit; raised before the first part.
            UserError: the model refuses, or can no longer be reached.
        """
        ...


@dataclass(frozen=True, eq=False)
class LocalSpeaker:
    """A model in this process."""

    llm: LocalLLM
    engine: Engine

    @property
    def name(self) -> str:
        return self.llm.name

    @property
    def format(self) -> Format:
        return self.llm.format

    @property
    def can_think(self) -> bool:
        return self.llm.can_think

    def warning(self, question: str) -> str | None:
        """See ``Speaker.warning``."""
        return self.llm.warning(question)

    def speak(
        self, messages: Sequence[Message], params: SamplingParams, think: bool | None
    ) -> Generator[Part, None, None]:
        """See ``Speaker.speak``."""
        prompt = self.llm.chat_prompt(messages, think=think)
        if len(prompt) >= self.llm.context:
            raise TooLongError(
                f"this has {len(prompt)} tokens and the model reads at most "
                f"{self.llm.context}, including its answer: shorten it"
            )
        reader = ReplyReader(self.llm, prompt)
        own = replace(params, stop=self.llm.stop_ids)
        ticket = self.engine.submit(Request(tuple(prompt), own))
        try:
            finish = ""
            while not finish:
                for event in self.engine.step():
                    pieces = reader.see(event.token_ids)
                    if event.done is not None:
                        finish = event.done.finish
                        pieces += reader.end()
                    scored = [
                        (self.llm.spelling(token_id), logprob)
                        for token_id, logprob in zip(event.token_ids, event.logprobs, strict=True)
                    ]
                    yield Part(pieces, scored, finish)
        finally:
            self.engine.cancel(ticket)


@dataclass
class Conversation:
    """Turns of a person and a model.

    ``think`` says whether the model is asked to reason first, if it supports that (``None`` leaves
    it to the model). ``params`` say how to sample; every turn has its own seed, derived from
    theirs. ``scored`` are the tokens of the last reply with their log-probabilities, ``finish`` is
    how it ended, and ``reasoning`` is the text before its answer.

    Raises ``UserError`` for a model that was not made for conversations.
    """

    speaker: Speaker
    params: SamplingParams
    system: str = ""
    think: bool | None = None
    turns: list[Message] = field(default_factory=list)
    scored: list[tuple[str, float]] = field(default_factory=list)
    finish: str = ""
    reasoning: str = ""

    def __post_init__(self) -> None:
        if self.speaker.format == "text":
            raise UserError(
                f"{self.speaker.name} has no chat template: it was not made for conversations; "
                "glassmind sample lets it continue a text"
            )

    def reset(self) -> None:
        """Forget all turns."""
        self.turns.clear()

    def say(self, text: str) -> Generator[Piece, None, None]:
        """The model's answer to ``text``, as it forms. The text received so far stays in the
        conversation even if the iterator is closed early. The oldest turns are dropped if the
        conversation is too long for the model.

        Raises:
            UserError: the text alone is too long for the model, or the model fails.
        """
        self.turns.append({"role": "user", "content": text})
        params = replace(self.params, seed=self.params.seed + len(self.turns))
        self.scored, self.finish, self.reasoning = [], "cancelled", ""
        system = [{"role": "system", "content": self.system}] if self.system else []
        content, begun = "", False
        while not begun:
            parts = self.speaker.speak([*system, *self.turns], params, self.think)
            try:
                for part in parts:
                    begun = True
                    self.scored += part.scored
                    self.finish = part.finish or self.finish
                    for piece in part.pieces:
                        if piece.channel == "content":
                            content += piece.text
                        else:
                            self.reasoning += piece.text
                    yield from part.pieces
                begun = True
            except TooLongError as too_long:
                if len(self.turns) < 3:
                    self.turns.pop()
                    raise UserError(str(too_long)) from None
                del self.turns[:2]
            except UserError:
                if not begun:
                    self.turns.pop()
                raise
            except KeyboardInterrupt:  # ends the turn, also before the first word
                begun = True
                raise
            finally:
                parts.close()
                if begun:
                    self.turns.append({"role": "assistant", "content": content})
