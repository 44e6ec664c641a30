"""What each token of a vocabulary looks like: the string of kinds that ``step_structure`` reads."""

from __future__ import annotations

from glassmind.errors import UserError
from glassmind.step_structure import Kind
from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.special import ANSWER, END_THINK, QUESTION, STEP, THINK

_MARKS = {
    QUESTION: Kind.QUESTION,
    THINK: Kind.THINK,
    STEP: Kind.STEP,
    END_THINK: Kind.END_THINK,
    ANSWER: Kind.ANSWER,
}


def token_kinds(tok: Tokenizer) -> str:
    """The kind of every token, in order of id.

    Raises:
        UserError: the tokenizer lacks a special token of the reasoning format.
    """
    missing = [name for name in _MARKS if name not in tok.special]
    if missing:
        raise UserError(
            f"model.reasoning reads the steps of our own format, but the tokenizer has no token "
            f"{missing[0]}: train one, or leave model.reasoning out"
        )
    kinds = [_kind(tok.token_bytes(token_id)) for token_id in range(tok.vocab_size)]
    for name, token_id in tok.special.items():
        kinds[token_id] = _MARKS.get(name, Kind.SPECIAL)
    return "".join(kinds)


def _kind(data: bytes) -> str:
    """The kind of a token that is not special."""
    text = data.decode("utf-8", "replace").strip()
    if "=" in text:
        after = text[text.rindex("=") + 1 :]
        return Kind.EQUALS_NUMBER if any(map(str.isdigit, after)) else Kind.EQUALS
    if any(map(str.isalpha, text)):
        return Kind.WORD
    if any(map(str.isdigit, text)):
        return Kind.NUMBER
    if text and set(text) <= set("+-*/×÷"):
        return Kind.OPERATOR
    if text and set(text) <= set(".?!"):
        return Kind.STOP
    return Kind.OTHER
