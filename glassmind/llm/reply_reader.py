"""From token ids to text, while tokens still come.

Three things keep a token from becoming text at once. A character may be spread over several
tokens, and half of it is not text. The text so far may be the beginning of a stop text, which must
not be shown if it turns out to be one. And a token may be a mark: it begins the reasoning or the
answer, or ends a step, and which of the two a piece of text belongs to is what a reader wants to
know first.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from glassmind.llm.local import LocalLLM

Channel = Literal["reasoning", "content"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and whether it is reasoning or the answer."""

    channel: Channel
    text: str


class ReplyReader:
    """Reads one reply token by token.

    ``prompt_ids`` say where it begins: a prompt that ends in ``<|think|>`` puts the model to
    reasoning. With ``channels`` false everything is content, marks are nothing, and a text is what
    the tokenizer decodes: so completions are read.
    """

    def __init__(
        self,
        llm: LocalLLM,
        prompt_ids: Sequence[int],
        stop_texts: Sequence[str] = (),
        *,
        channels: bool = True,
    ) -> None:
        self._bytes = llm.token_bytes
        self._marks = llm.marks if channels else {}
        self._lead = llm.vocabulary.lead
        self._stops = tuple(stop_texts)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: list[Piece] = []  # not shown yet: it may begin a stop text
        self._step_open = False
        self._at_mark = False  # white space behind a mark belongs to the format
        self.channel: Channel = llm.channel_behind(prompt_ids) if channels else "content"
        self.text: dict[Channel, str] = {"reasoning": "", "content": ""}
        self.tokens: dict[Channel, int] = {"reasoning": 0, "content": 0}

    def see(self, token_ids: Iterable[int]) -> list[Piece]:
        """What can be shown now that these tokens have come."""
        for token_id in token_ids:
            self.tokens[self.channel] += 1
            mark = self._marks.get(token_id)
            if mark is not None:
                self._end_text()
                if mark == "step":
                    self._step_open = True
                else:
                    self._step_open, self._at_mark = False, True
                    self.channel = "reasoning" if mark == "think" else "content"
                continue
            data = self._bytes[token_id]
            if self._lead and data:  # once, in front of everything
                data, self._lead = data.removeprefix(self._lead), b""
            self._add(self._decoder.decode(data))
        return self._show(self._safe())

    def end(self, stopped_by: str | None = None) -> list[Piece]:
        """What is left when the reply is over. Where a stop text ended it, it and what is behind
        it are not shown."""
        self._end_text()
        if stopped_by is not None:
            at = "".join(piece.text for piece in self._held).find(stopped_by)
            if at >= 0:
                return self._show(at)
        return self._show(sum(len(piece.text) for piece in self._held))

    def _end_text(self) -> None:
        self._add(self._decoder.decode(b"", True))
        self._decoder.reset()

    def _add(self, text: str) -> None:
        if self._at_mark:
            text = text.lstrip()
        if not text:
            return
        self._at_mark = False
        if self._step_open:  # another step begins: steps are lines
            self._step_open, text = False, "\n" + text
        self._held.append(Piece(self.channel, text))

    def _safe(self) -> int:
        """How many characters of what is held cannot begin a stop text."""
        text = "".join(piece.text for piece in self._held)
        if not self._stops:
            return len(text)
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:  # the engine is about to say so
            return min(found)
        longest = max(map(len, self._stops)) - 1
        for start in range(max(0, len(text) - longest), len(text)):
            if any(stop.startswith(text[start:]) for stop in self._stops):
                return start
        return len(text)

    def _show(self, length: int) -> list[Piece]:
        """Take ``length`` characters of what is held, neighbours of one channel joined."""
        shown: list[Piece] = []
        while self._held and length > 0:
            piece = self._held.pop(0)
            if len(piece.text) > length:
                self._held.insert(0, Piece(piece.channel, piece.text[length:]))
                piece = Piece(piece.channel, piece.text[:length])
            length -= len(piece.text)
            self.text[piece.channel] += piece.text
            if shown and shown[-1].channel == piece.channel:
                piece = Piece(piece.channel, shown.pop().text + piece.text)
            shown.append(piece)
        return shown
