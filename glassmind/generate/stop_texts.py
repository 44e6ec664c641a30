"""Ending a row where its text contains a stop string, wherever the tokens' borders fall.

A stop string need not be made of whole tokens: ``\\n\\nQ:`` may come as ``.\\n`` ``\\nQ`` ``:\\n``.
So the *bytes* of the tokens are followed, one by one, each stop string by a small automaton that
knows how much of the string the text ends with (Knuth, Morris & Pratt 1977, "Fast pattern matching
in strings"). That takes time proportional to the text, however the strings repeat themselves, and
the outcome depends on the text alone.

The same number tells a stream what it must hold back: a text that ends with the beginning of a stop
string may have to be cut there.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from glassmind.generate.companion import NOTHING, Reaction


class _Progress:
    """How much of one stop string the bytes so far end with: ``matched``."""

    def __init__(self, stop: bytes) -> None:
        self.stop = stop
        self.matched = 0
        # borders[n]: the longest proper beginning of stop[:n] that is also its end.
        self._borders = [0, 0]
        for byte in stop[1:]:
            self._borders.append(self._extended(self._borders[-1], byte))

    def _extended(self, matched: int, byte: int) -> int:
        while matched and self.stop[matched] != byte:
            matched = self._borders[matched]
        return matched + (self.stop[matched] == byte)

    def follow(self, byte: int) -> bool:
        """Whether the string is complete with this byte; nothing may follow then."""
        self.matched = self._extended(self.matched, byte)
        return self.matched == len(self.stop)


class StopTexts:
    """A ``Companion`` that finishes its row when the text contains one of ``texts``.

    ``token_bytes[id]`` is what a token stands for; special tokens (``None``) stand for nothing.
    The first stop string to be complete counts; of several complete at the same byte, the longest.
    With no ``texts`` at all this turns tokens into text bit by bit.
    """

    def __init__(self, texts: Sequence[str], token_bytes: Sequence[bytes | None]) -> None:
        self._progress = [_Progress(text.encode()) for text in texts]
        self._token_bytes = token_bytes
        self._data = bytearray()
        self._shown = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.stopped_by: str | None = None
        """The stop string that was found."""

    def allowed(self) -> None:
        """Stop strings forbid nothing."""
        return None

    def see(self, token_id: int) -> Reaction:
        """Finish where this token completes a stop string."""
        if self.stopped_by is not None or token_id >= len(self._token_bytes):
            return NOTHING
        for byte in self._token_bytes[token_id] or b"":
            self._data.append(byte)
            # All of them have to follow, also behind one that is complete.
            complete = [one.stop for one in self._progress if one.follow(byte)]
            if complete:
                stop = max(complete, key=len)
                del self._data[-len(stop) :]
                self.stopped_by = stop.decode()
                return Reaction(finished=True)
        return NOTHING

    @property
    def text(self) -> str:
        """Everything before the stop string; invalid UTF-8 becomes U+FFFD."""
        return self._data.decode("utf-8", "replace")

    def new_text(self, *, final: bool = False) -> str:
        """What has become safe to show since the last call: it will be part of ``text``.

        Held back are an unfinished character and what may be the beginning of a stop string.
        ``final`` says that no more tokens come, so that nothing has to be held back. All calls
        together give ``text``.
        """
        final = final or self.stopped_by is not None
        held = 0 if final else max((one.matched for one in self._progress), default=0)
        end = len(self._data) - held
        fresh = bytes(self._data[self._shown : end])
        self._shown = end
        return self._decoder.decode(fresh, final)
