"""A calculator inside decoding: the model writes ``<<48/2=``, arithmetic writes ``24>>``.

Language models set sums up well and work them out badly. GSM8K (Cobbe et al. 2021, arXiv
2110.14168) therefore annotates its solutions, ``48/2 = <<48/2=24>>24``, and has a calculator take
over at the ``=`` while sampling. The tokens it forces are marked as forced in the ``Generation``:
the model did not choose them, so training must not credit it with them.

What a model puts between ``<<`` and ``=`` is a stranger's text: it is read by
``grade.arithmetic``, exactly and in bounded time. What cannot be read forces nothing, and the model
goes on by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

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

    ``encode`` turns text into ids, ``token_bytes[id]`` is what a token stands for (``None`` for a
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
        """Force the result where this token brings the ``=`` of an annotation."""
        data = self._bytes(token_id)
        for at, byte in enumerate(data, 1):
            expression = self._step(byte)
            if expression is not None:
                # A token may hold the = and the beginning of a result, right or wrong.
                result, begun = worked_out(expression), data[at:]
                if result is not None and f"{result}>>".encode().startswith(begun):
                    return self._force(f"{result}>>"[len(begun) :])
        return NOTHING

    def _step(self, byte: int) -> bytes | None:
        """Follow one byte; the expression where it is the ``=`` that closes one."""
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

    def _force(self, text: str) -> Reaction:
        """The ids of ``text``, or nothing where the tokenizer cannot write it right here.

        Tokenizers that put a space before every text are given something to put it before.
        """
        for before in ("", "="):
            ids = tuple(self._encode(before + text))[len(before) :]
            if b"".join(self._bytes(token_id) for token_id in ids) == text.encode():
                return Reaction(forced=ids)
        return NOTHING

    def _bytes(self, token_id: int) -> bytes:
        known = token_id < len(self._token_bytes)
        return (self._token_bytes[token_id] or b"") if known else b""


def annotated(text: str) -> str:
    """``text`` with its equations written as the calculator completes them.

    ``pencils: 3*12=36`` becomes ``pencils: <<3*12=36>>``, which is what a model has to be shown
    before it can ask for help. An equation that does not hold, or that arithmetic would write
    otherwise, stays as it is.
    """

    def asked(found: re.Match[str]) -> str:
        expression, result = found.groups()
        right = worked_out(expression.encode()) == result
        return f"<<{expression}={result}>>" if right else found[0]

    return _EQUATION.sub(asked, text)


def worked_out(expression: bytes) -> str | None:
    """The value of ``expression`` as GSM8K writes it, or ``None`` where there is none.

    Integers plain, decimals without closing zeros, and rounded where they do not end within
    ``MAX_PLACES``: ``24``, ``0.2``, ``33.333333``.
    """
    try:
        value = evaluate(expression.decode())
    except UnicodeDecodeError:
        return None
    if value is None:
        return None
    rounded = round(value, MAX_PLACES)
    written = canonical(rounded)
    # What is rounded to nothing is better left to the model than called 0.
    if len(written) > MAX_RESULT or (rounded == 0) != (value == 0):
        return None
    return written
