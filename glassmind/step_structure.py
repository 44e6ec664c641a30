"""The structure of a chain of thought: which segment and which role every token has.

    <|question|> q <|think|> cost: 7*2=14 <|step|> cost: 14-4=10 <|step|> <|/think|> <|answer|> 10
    |----- segment 0 ------| |---- segment 1 ----| |---- segment 2 ----| |----- segment 3 -------|

Segment 0 is the question up to and including the token that opens the chain (``<|think|>``, or
``<|answer|>`` where the answer is given directly). Every ``<|step|>`` ends a segment, so step *i*
is segment *i*, and after *n* steps the answer part is segment *n + 1*.

Roles are told by what a token looks like: in a step, numbers before ``=`` are operands, and what
follows ``=`` without being a word is the result. The result and the ``<|step|>`` after it are the
step's *conclusion*. A token's segment and role depend only on the tokens before it, never on later
ones: the masks, biases and positions that are made from them (``model.ReasoningConfig``) can be
computed while a chain is being written.

``advance`` is the definition, one token at a time, and is what generation uses.
``model.step_marks`` computes the same for whole packed rows, and tests hold it against this file.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind:
    """What a token looks like, a letter each; the kinds of a vocabulary are one string."""

    WORD = "w"  # has a letter
    NUMBER = "d"  # has a digit
    OPERATOR = "o"  # + - * /
    EQUALS = "="
    EQUALS_NUMBER = "r"  # an equals sign with a digit behind it, in one token
    STOP = "."  # the end of a sentence, or a decimal point
    OTHER = "_"
    QUESTION = "Q"  # the special tokens, from here on
    THINK = "T"
    STEP = "S"
    END_THINK = "K"
    ANSWER = "A"
    SPECIAL = "X"  # any other


KINDS = "wdo=r._QTSKAX"
"""Every kind."""


class Role(IntEnum):
    """What a token is for."""

    QUESTION = 0
    STEP = 1  # text of a step
    OPERAND = 2
    OPERATOR = 3
    RESULT = 4
    CLOSING = 5  # the <|step|> that ends a step
    ANSWER = 6
    SPECIAL = 7


class StepState(NamedTuple):
    """One token's segment and role, and what is needed to read the token after it.

    ``position`` is the token's position if every segment after the question begins at the same one,
    ``question`` (0 while the question lasts). ``ends`` says that the token is the last of its
    segment, ``equals`` that its step has had an equals sign, and ``answering`` that its chain is
    finished. All are ints, so that a state is a row of an array.
    """

    segment: int
    role: int
    position: int
    question: int
    ends: int
    equals: int
    answering: int


START = StepState(0, Role.QUESTION, -1, 0, 0, 0, 0)
"""The state before the first token."""


def advance(before: StepState, kind: str) -> StepState:
    """The state of a token of this kind that follows ``before``. Any order of tokens is allowed."""
    segment = before.segment + before.ends
    position = before.question if before.ends else before.position + 1
    equals = 0 if before.ends else before.equals
    question, answering = before.question, before.answering
    ends = 0
    if kind == Kind.ANSWER or kind == Kind.END_THINK:
        answering = 1
    if segment == 0 and kind in (Kind.THINK, Kind.ANSWER):
        ends, question, role = 1, position + 1, Role.SPECIAL
    elif segment and kind == Kind.STEP:
        ends, role = 1, Role.CLOSING
    elif kind in "QTSKAX":
        role = Role.SPECIAL
    elif segment == 0:
        role = Role.QUESTION
    elif answering:
        role = Role.ANSWER
    elif kind == Kind.EQUALS_NUMBER:
        equals, role = 1, Role.RESULT
    elif kind == Kind.EQUALS:
        equals, role = 1, Role.OPERATOR
    elif equals and kind != Kind.WORD:
        role = Role.RESULT
    elif kind == Kind.NUMBER:
        role = Role.OPERAND
    elif kind == Kind.OPERATOR:
        role = Role.OPERATOR
    else:
        role = Role.STEP
    return StepState(segment, role, position, question, ends, equals, answering)


def read_steps(kinds: str, before: StepState = START) -> list[StepState]:
    """The states of tokens of these kinds, which follow ``before``."""
    states = []
    for kind in kinds:
        before = advance(before, kind)
        states.append(before)
    return states
