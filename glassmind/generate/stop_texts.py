"""Ending a sample where its text contains a stop string, even one that spans tokens.

A stop string need not consist of whole tokens: ``\\n\\nQ:`` may be in ``.\\n`` ``\\nQ`` ``:\\n``.
So the *bytes* of the tokens are followed one by one. For each stop string a small automaton keeps
how much of the string the text so far ends with (Knuth, Morris & Pratt 1977, "Fast pattern matching
in strings"). That takes time proportional to the text, even for repetitive strings, and the result
depends on the text alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.generate.token_hook import NOTHING, Reaction


class _Progress:
    """One stop string; ``matched`` is how many of its bytes the text so far ends with."""

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
        """Take the next byte. True if it completes the string; no byte may be given after that."""
        self.matched = self._extended(self.matched, byte)
        return self.matched == len(self.stop)


class StopTexts:
    """A ``TokenHook`` that finishes its sample when the text contains one of ``texts``.

    ``token_bytes[id]`` are a token's bytes; special tokens (``None``) have none. The first stop
    string to be complete counts; of several complete at the same byte, the longest.
    """

    def __init__(self, texts: Sequence[str], token_bytes: Sequence[bytes | None]) -> None:
        self._progress = [_Progress(text.encode()) for text in texts]
        self._token_bytes = token_bytes
        self._data = bytearray()
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
            # Every automaton must take the byte, so this must not stop at the first complete one.
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
