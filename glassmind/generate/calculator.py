"""A calculator for use during decoding: the model writes ``<<48/2=``, the calculator ``24>>``.

Language models set up calculations well and evaluate them poorly. GSM8K (Cobbe et al. 2021, arXiv
2110.14168) therefore annotates its solutions, ``48/2 = <<48/2=24>>24``, and a calculator takes over
at the ``=`` during sampling. The tokens it forces are marked as forced in the ``Generation``: the
model did not choose them, so training must not credit it with them.

What a model writes between ``<<`` and ``=`` is untrusted text. ``grade.arithmetic`` evaluates it
exactly and in bounded time. If it is not an expression, nothing is forced and the model continues
by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from glassmind.generate.token_hook import NOTHING, Reaction
from glassmind.grade import canonical
from glassmind.grade.arithmetic import evaluate

MAX_EXPRESSION = 200  # bytes between << and =
MAX_PLACES = 6  # decimals of a result; more are rounded
MAX_RESULT = 20  # characters

_OPEN, _EQUALS, _CLOSE = b"<=>"
_EQUATION = re.compile(r"(?<![\w.])(\d[\d.]*(?: ?[-+*/] ?\d[\d.]*)+) ?= ?(-?\d+(?:\.\d+)?)(?!\w)")


class Calculator:
    """A ``TokenHook`` that completes calculator annotations.

    ``encode`` turns text into ids; ``token_bytes[id]`` are the bytes of a token (``None`` for a
    special token).
    """

    def __init__(
        self, encode: Callable[[str], Sequence[int]], token_bytes: Sequence[bytes | None]
    ) -> None:
        self._encode = encode
        self._token_bytes = token_bytes
        self._expression: bytearray | None = None  # since the last <<
        self._after_open = False  # whether the last byte was a <

    def allowed(self) -> None:
        """A calculator forbids nothing."""
        return None

    def see(self, token_id: int) -> Reaction:
        """Force the result if this token contains the ``=`` of an annotation."""
        data = self[token_id]
        for at, byte in enumerate(data, 1):
            expression = self._step(byte)
            if expression is not None:
                # The token may also contain the beginning of a result, right or wrong.
                result, begun = worked_out(expression), data[at:]
                if result is not None and f"{result}>>".encode().startswith(begun):
                    rest = f"{result}>>"[len(begun) :]
                    return Reaction(forced=forced_ids(self._encode, self, rest))
        return NOTHING

    def _step(self, byte: int) -> bytes | None:
        """Take the next byte. Returns the expression if this byte is the ``=`` after it."""
        expression, after_open = self._expression, self._after_open
        self._after_open = byte == _OPEN
        if byte == _OPEN:
            self._expression = bytearray() if after_open else None
        elif expression is None:
            return None
        elif byte == _EQUALS:
            self._expression = None
            return bytes(expression)
        elif byte == _CLOSE or len(expression) == MAX_EXPRESSION:
            self._expression = None
        else:
            expression.append(byte)
        return None

    def __getitem__(self, token_id: int) -> bytes:
        known = token_id < len(self._token_bytes)
        return (self._token_bytes[token_id] or b"") if known else b""


class TokenBytes(Protocol):
    """The bytes of every token id; empty for a special token, or an id without a token."""

    def __getitem__(self, token_id: int, /) -> bytes: ...


def forced_ids(
    encode: Callable[[str], Sequence[int]], token_bytes: TokenBytes, text: str
) -> tuple[int, ...]:
    """The ids of ``text`` behind an ``=``; none, if the tokenizer cannot encode it there exactly.

    Some tokenizers put a space before every text. For them, ``=`` is encoded first and its token
    removed.
    """
    for before in ("", "="):
        ids = tuple(encode(before + text))[len(before) :]
        if b"".join(token_bytes[token_id] for token_id in ids) == text.encode():
            return ids
    return ()


def annotated(text: str) -> str:
    """``text`` with its equations annotated for the calculator.

    ``pencils: 3*12=36`` becomes ``pencils: <<3*12=36>>``. A model has to be trained on such
    annotations before it can use the calculator. An equation that does not hold, or whose result
    the calculator would write differently, stays as it is.
    """

    def asked(found: re.Match[str]) -> str:
        expression, result = found.groups()
        right = worked_out(expression.encode()) == result
        return f"<<{expression}={result}>>" if right else found[0]

    return _EQUATION.sub(asked, text)


def worked_out(expression: bytes) -> str | None:
    """The value of ``expression`` as GSM8K writes it; ``None`` if it has no value.

    Decimals have no trailing zeros and are rounded to ``MAX_PLACES``: ``24``, ``0.2``,
    ``33.333333``.
    """
    try:
        value = evaluate(expression.decode())
    except UnicodeDecodeError:
        return None
    if value is None:
        return None
    rounded = round(value, MAX_PLACES)
    written = canonical(rounded)
    # A value that would be rounded to 0 is left to the model instead.
    if len(written) > MAX_RESULT or (rounded == 0) != (value == 0):
        return None
    return written
