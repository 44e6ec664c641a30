"""A calculator for plain text: the model writes ``made: 3*9=``, arithmetic writes ``27``.

``calculator`` needs a model that was trained on annotations, ``<<3*9=27>>``. This hook needs no
training: it takes over at every ``=`` that stands behind an arithmetic expression, and forces the
exact result and nothing else, so the model goes on as if it had written the result itself. The idea
is GSM8K's (Cobbe et al. 2021, arXiv 2110.14168).

The expression is what ``grade.arithmetic.read_equations`` would read there: where the text may be
part of something longer (``half of 3*4=``, ``y-3=``), nothing is forced. Nothing is forced either
where the result has no exact decimal form (``10/3``), or where the expression holds ``$`` or ``%``,
with which results are written in more than one way.

Two things could still make a result wrong, and both are forbidden before they are drawn: a token
that holds an ``=`` and the beginning of another result (``=3``), and a digit after the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from glassmind.generate.calculator import MAX_RESULT, forced_ids
from glassmind.generate.token_hook import NOTHING, Reaction
from glassmind.grade import canonical
from glassmind.grade.arithmetic import MAX_TEXT, value_before_equals

_LINE = 4 * MAX_TEXT  # bytes that are kept of a line: at least MAX_TEXT characters
_GOES_ON = re.compile(rb"[.,]?[0-9]|%")
"""What would change the number that stands before it."""


class ResultTokens:
    """The tokens of a vocabulary that matter to a calculator; found once for all samples.

    ``token_bytes[id]`` are the bytes of a token (``None`` for a special token). ``glued`` are the
    tokens with an ``=`` and the beginning of a number behind it. ``ends_number[tail]`` are the
    tokens that may follow a result and ``tail``, bool (V,).
    """

    def __init__(self, token_bytes: Sequence[bytes | None]) -> None:
        self.token_bytes = token_bytes
        self.glued = tuple(
            (token_id, data)
            for token_id, data in enumerate(token_bytes)
            if data and re.search(rb"=[ $]*-?[.0-9]", data)
        )
        self.all_V = torch.ones(len(token_bytes), dtype=torch.bool)
        self.ends_number = {
            tail: torch.tensor([not _GOES_ON.match(tail + (data or b"")) for data in token_bytes])
            for tail in (b"", b".", b",")
        }

    def __getitem__(self, token_id: int) -> bytes:
        known = token_id < len(self.token_bytes)
        return (self.token_bytes[token_id] or b"") if known else b""


class EquationCalculator:
    """A ``TokenHook`` that completes every equation; ``encode`` turns text into ids."""

    def __init__(self, encode: Callable[[str], Sequence[int]], tokens: ResultTokens) -> None:
        self._encode, self._tokens = encode, tokens
        self._line = bytearray()  # the end of what was written since the last special token
        self._due = 0  # bytes of a result that are forced but not seen yet
        self._tail: bytes | None = None  # since a result, as long as a digit would change it

    def allowed(self) -> Tensor | None:
        """Everything, but no token that begins another result or continues the one before."""
        if self._tail is not None:
            return self._tokens.ends_number[self._tail]
        if not self._tokens.glued:
            return None
        results: dict[bytes, bytes | None] = {}
        wrong = []
        for token_id, data in self._tokens.glued:
            before, _, begun = data.partition(b"=")
            if before not in results:
                results[before] = self._result(before)
            if contradicts(results[before], begun):
                wrong.append(token_id)
        if not wrong:
            return None
        mask_V = self._tokens.all_V.clone()
        mask_V[wrong] = False
        return mask_V

    def see(self, token_id: int) -> Reaction:
        """Force the result if this token contains the ``=`` behind an expression."""
        data = self._tokens[token_id]
        if not data:  # a special token ends the step
            self._line.clear()
            self._tail = None
            return NOTHING
        if self._due:
            self._append(data)
            self._due = max(0, self._due - len(data))
            self._tail = None if self._due else b""
            return NOTHING
        if self._tail is not None:
            tail = self._tail + data
            self._tail = tail if tail in (b".", b",") else None
        return self._reaction(data)

    def _reaction(self, data: bytes) -> Reaction:
        begin = 0
        while (equals := data.find(b"=", begin)) >= 0:
            self._append(data[begin:equals])
            result, begun = self._result(), data[equals + 1 :]
            self._append(b"=")
            begin = equals + 1
            if result is not None and result.startswith(begun):
                self._append(begun)
                missing = result[len(begun) :]
                ids = forced_ids(self._encode, self._tokens, missing.decode()) if missing else ()
                self._due = len(missing) if ids else 0
                self._tail = None if missing else b""
                return Reaction(forced=ids)
        self._append(data[begin:])
        return NOTHING

    def _append(self, data: bytes) -> None:
        self._line += data
        if len(self._line) > 2 * _LINE:
            del self._line[:-_LINE]

    def _result(self, more: bytes = b"") -> bytes | None:
        """What belongs behind an ``=`` after the line and ``more``; ``None`` if that is for the
        model to say."""
        text = (bytes(self._line) + more).decode("utf-8", "replace")
        return exact_result(text.rpartition("\n")[2])


def contradicts(result: bytes | None, begun: bytes) -> bool:
    """Whether ``begun``, what a token has behind its ``=``, begins another result than ``result``.

    It does not if ``result`` is ``None``: then the model may write what it wants.
    """
    if result is None or result.startswith(begun):
        return False
    return not begun.startswith(result) or _GOES_ON.match(begun[len(result) :]) is not None


def exact_result(line: str) -> bytes | None:
    """What belongs behind an ``=`` that follows ``line``: the value of the expression that ends it,
    with a space before it if there is one before the ``=``. ``None`` if there is no such value.

    ``"made: 3*9"`` gives ``27``, ``"3 * 9 "`` gives `` 27``, and ``"1/3"`` nothing.
    """
    value = value_before_equals(line)
    if value is None:
        return None
    written = canonical(value)
    if "/" in written or len(written) > MAX_RESULT:
        return None
    return f"{' ' if line.endswith(' ') else ''}{written}".encode()
