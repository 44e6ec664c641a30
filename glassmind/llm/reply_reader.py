"""From token ids to text, as a stream.

A token does not always become text immediately, for three reasons. A character may span several
tokens. The text so far may be the beginning of a stop text, which must not be shown. And a token
may be a marker that begins the reasoning or the answer, or ends a step, so that it decides to which
of the two the following text belongs.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from glassmind.generate.constraint.vocabulary import Vocabulary

Channel = Literal["reasoning", "content"]

Mark = Literal["think", "answer", "step"]
"""What a marker token means: reasoning begins, the answer begins, or a step ends."""


class Tokens(Protocol):
    """What is needed of a model's tokens to read its replies: their bytes and markers.

    ``lines_are_steps`` says that a reply without markers has one step per line and the answer in
    the last line.
    """

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def token_bytes(self) -> tuple[bytes, ...]: ...

    @property
    def marks(self) -> Mapping[int, Mark]: ...

    @property
    def lines_are_steps(self) -> bool: ...

    def channel_behind(self, prompt_ids: Sequence[int]) -> Channel: ...

    def spelling(self, token_id: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text, and whether it is reasoning or the answer."""

    channel: Channel
    text: str


class ReplyReader:
    """Decodes one reply token by token.

    ``prompt_ids`` decide how it starts: after a prompt that ends in ``<|think|>`` the reply starts
    with reasoning. With ``channels`` false, as for completions, everything is content, markers are
    dropped, and the text is the tokenizer's decoding. Tokens in ``silent`` end the reply and are
    not part of its text; special tokens in ``spelled`` appear in the text as they are spelled.
    """

    def __init__(
        self,
        llm: Tokens,
        prompt_ids: Sequence[int],
        stop_texts: Sequence[str] = (),
        *,
        channels: bool = True,
        silent: Collection[int] = (),
        spelled: Collection[int] = (),
    ) -> None:
        self._instead = {token_id: llm.spelling(token_id).encode() for token_id in spelled}
        self._instead |= dict.fromkeys(silent, b"")
        self._bytes = llm.token_bytes
        self._marks = llm.marks if channels else {}
        self._lead = llm.vocabulary.lead
        self._stops = tuple(stop_texts)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: list[Piece] = []  # not shown yet: it may begin a stop text
        self._step_open = False
        self._at_mark = False  # white space after a marker belongs to the format
        self.channel: Channel = llm.channel_behind(prompt_ids) if channels else "content"
        self.text: dict[Channel, str] = {"reasoning": "", "content": ""}
        self.tokens: dict[Channel, int] = {"reasoning": 0, "content": 0}

    def see(self, token_ids: Iterable[int]) -> list[Piece]:
        """The text that can be shown after these tokens."""
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
            data = self._instead.get(token_id, self._bytes[token_id])
            if self._lead and data:  # once, at the start
                data, self._lead = data.removeprefix(self._lead), b""
            self._add(self._decoder.decode(data))
        return self._show(self._safe())

    def end(self, stopped_by: str | None = None) -> list[Piece]:
        """The remaining text at the end of the reply. If a stop text ended it, the stop text and
        everything after it are removed."""
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
        if self._step_open:  # a new step starts on a new line
            self._step_open, text = False, "\n" + text
        self._held.append(Piece(self.channel, text))

    def _safe(self) -> int:
        """The number of held characters that cannot be part of a stop text."""
        text = "".join(piece.text for piece in self._held)
        if not self._stops:
            return len(text)
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:  # the engine is about to end the sample
            return min(found)
        longest = max(map(len, self._stops)) - 1
        for start in range(max(0, len(text) - longest), len(text)):
            if any(stop.startswith(text[start:]) for stop in self._stops):
                return start
        return len(text)

    def _show(self, length: int) -> list[Piece]:
        """Take ``length`` held characters, joining neighbours of the same channel."""
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
