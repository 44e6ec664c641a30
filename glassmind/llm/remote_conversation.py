"""The model's side of a conversation with a server, whose replies are streamed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm.conversation import Part, TooLongError
from glassmind.llm.http_json import Json, Refused
from glassmind.llm.llm import Format
from glassmind.llm.prompts import Message
from glassmind.llm.remote import RemoteLLM, is_too_long
from glassmind.llm.remote_reply import listed_tokens, reasoning_of
from glassmind.llm.reply_reader import Channel, Piece

_MARKS: tuple[tuple[str, Channel], ...] = (("<think>", "reasoning"), ("</think>", "content"))


@dataclass(frozen=True, eq=False)
class RemoteSpeaker:
    """A model of a server with OpenAI's API."""

    llm: RemoteLLM

    @property
    def name(self) -> str:
        return self.llm.name

    @property
    def format(self) -> Format:
        return self.llm.format

    @property
    def can_think(self) -> bool:
        """Always true: only the server knows, and it may refuse or ignore the setting."""
        return True

    def warning(self, question: str) -> str | None:
        """See ``Speaker.warning``."""
        return self.llm.warning(question)

    def speak(
        self, messages: Sequence[Message], params: SamplingParams, think: bool | None
    ) -> Generator[Part, None, None]:
        """See ``Speaker.speak``."""
        try:
            events = self.llm.converse(messages, params, think)
        except Refused as refusal:
            if is_too_long(refusal):
                raise TooLongError(self.llm.refusal(refusal)) from None
            raise UserError(self.llm.refusal(refusal)) from None
        splitter, finish = _Splitter(), ""
        for event in events:
            choice = self._choice(event)
            if choice is None:
                continue
            pieces = list(self._pieces(choice, splitter))
            finish = str(choice.get("finish_reason") or "") or finish
            yield Part(pieces, listed_tokens(choice.get("logprobs")))
        if not finish:
            raise UserError(f"{self.llm.client.base} broke off its answer")
        yield Part(splitter.rest(), (), "length" if finish == "length" else "stop")

    def _choice(self, event: Json) -> dict[str, Any] | None:
        """The only choice of an event; ``None`` for an event about the whole answer."""
        error = event.get("error")
        if error is not None:
            said = error.get("message") if isinstance(error, dict) else error
            raise UserError(f"{self.llm.client.base} fails: {' '.join(str(said).split())[:300]}")
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        if not isinstance(choices[0], dict):
            raise UserError(f"{self.llm.client.base} answers with a choice that is not an object")
        return choices[0]

    def _pieces(self, choice: dict[str, Any], splitter: _Splitter) -> Iterator[Piece]:
        # A server that does not stream sends a whole message.
        said = choice.get("delta", choice.get("message"))
        if not isinstance(said, dict):
            raise UserError(f"{self.llm.client.base} answers with a message that is not an object")
        reasoning, content = reasoning_of(said), said.get("content") or ""
        if not isinstance(content, str) or not isinstance(reasoning, str):
            raise UserError(f"{self.llm.client.base} answers with something that is not text")
        if reasoning:
            yield Piece("reasoning", reasoning)
        yield from splitter.add(content)


class _Splitter:
    """Splits text that arrives in pieces at ``<think>`` and ``</think>``. Text that may be the
    beginning of a tag is held back until more has arrived."""

    def __init__(self) -> None:
        self._channel: Channel = "content"
        self._held = ""

    def add(self, text: str) -> list[Piece]:
        """Add ``text``, and return the pieces that can be shown now."""
        self._held += text
        pieces: list[Piece] = []
        while found := [(at, m, c) for m, c in _MARKS if (at := self._held.find(m)) >= 0]:
            at, mark, channel = min(found)
            pieces += self._take(at)
            self._held, self._channel = self._held[len(mark) :], channel
        longest = max(len(mark) for mark, _ in _MARKS) - 1
        open_at = next(
            (
                at
                for at in range(max(0, len(self._held) - longest), len(self._held))
                if any(mark.startswith(self._held[at:]) for mark, _ in _MARKS)
            ),
            len(self._held),
        )
        return pieces + self._take(open_at)

    def rest(self) -> list[Piece]:
        """The remaining pieces at the end."""
        return self._take(len(self._held))

    def _take(self, length: int) -> list[Piece]:
        text, self._held = self._held[:length], self._held[length:]
        return [Piece(self._channel, text)] if text else []
