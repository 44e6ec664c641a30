"""Where the operands of a worked solution come from, as columns of its tokens.

    Ali buys 7 puzzles at $2 each. He has $4.   cost: 7*2=14   cost: 14-4=10
             ^             ^           ^              \\ /          ||  \\______ from the question
             |_____________|___________|____ from the question     from the first step

A *quantity* is a number of the question or the result of a step. ``QUANTITY`` numbers the
quantities of a document from 1 and marks the tokens that write each of them; ``OPERAND_FROM`` marks
the tokens of an operand with the quantity it is. Operands that are general knowledge, or that the
question writes in words, come from nowhere and are not marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.columns import Column
from glassmind.records import Step
from glassmind.tokenize import Tokenizer

QUANTITY = Column("quantity", "int64", 0)
"""The quantity that a token writes; 0 for none."""

OPERAND_FROM = Column("operand_from", "int64", 0)
"""The quantity that an operand's token comes from; 0 for none."""

_NUMBER = re.compile(rb"\d+(?:[.,]\d+)*")
_BEFORE, _BEHIND = rb"(?<![\d.])", rb"(?![\d.]*\d)"


def dependency_columns(
    tok: Tokenizer,
    question: str,
    steps: Sequence[Step],
    texts: Sequence[str],
    length: int,
) -> Mapping[Column, NDArray[np.int64]]:
    """The columns of ``<|question|> question <|think|> text <|step|> text <|step|> ...``, up to the
    last ``<|step|>``, and zeros up to ``length`` tokens; ``texts`` are how the steps are written.
    """
    quantities: list[int] = [0]
    operands: list[int] = [0]
    asked: dict[bytes, int] = {}
    spans = []
    for number in _NUMBER.finditer(question.encode()):
        plain = number[0].replace(b",", b"")
        spans.append((*number.span(), asked.setdefault(plain, len(steps) + len(asked) + 1)))
    ids = tok.encode(question)
    quantities += [*_by_token(tok, ids, spans), 0]
    operands += [0] * (len(ids) + 1)
    for index, (step, text) in enumerate(zip(steps, texts, strict=True)):
        ids = tok.encode(text)
        used, made = _numbers_of(step, text.encode(), index, asked)
        quantities += [*_by_token(tok, ids, made), 0]
        operands += [*_by_token(tok, ids, used), 0]
    return {
        column: np.pad(np.array(values, np.int64), (0, length - len(values)))
        for column, values in ((QUANTITY, quantities), (OPERAND_FROM, operands))
    }


_Span = tuple[int, int, int]
"""First byte, byte behind the last, number of the quantity."""


def _numbers_of(
    step: Step, text: bytes, index: int, asked: Mapping[bytes, int]
) -> tuple[list[_Span], list[_Span]]:
    """The operands and the results in the text of step ``index``, with their quantities."""
    if not step.checkable:
        return [], []
    a, b = (re.escape(operand.encode()) for operand in step.operands)
    operator, value = re.escape(step.operator.encode()), re.escape(step.value.encode())
    found = re.search(_BEFORE + rb"(%b)%b(%b)=(%b)" % (a, operator, b, value) + _BEHIND, text)
    if found is None:
        return [], []
    used = []
    for group, (operand, source) in enumerate(zip(step.operands, step.uses, strict=True), 1):
        quantity = asked.get(operand.encode(), 0) if source is None else source + 1
        used.append((*found.span(group), quantity))
    return used, [(*found.span(3), index + 1)]


def _by_token(tok: Tokenizer, ids: Sequence[int], spans: Sequence[_Span]) -> list[int]:
    """For each token, the quantity of the span that it has a byte of; 0 for none."""
    marked = []
    start = 0
    for token_id in ids:
        end = start + len(tok.token_bytes(token_id))
        marked.append(next((q for first, last, q in spans if first < end and last > start), 0))
        start = end
    return marked
