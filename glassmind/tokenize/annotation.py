"""Which step is this token in, and what does it do there?

Two small arrays beside the ids answer that for every token. The reasoning masks (a step sees
the question, itself, and the closing token of earlier steps), the per-step losses, the verifier and
the studio all read them.

- ``segments``: 0 for the question, 1 to n for the steps, n + 1 for the answer. The token that
  closes a step belongs to it; ``<|think|>`` belongs to the question; ``<|/think|>`` and what
  follows to the answer.
- ``roles``: what the token does. Inside steps, written ``label: 3*12=36``, digits before the
  ``=`` are operands, the signs are operators and digits after it the result. This is told from
  the spelling alone, which needs no parser and works on a model's mistakes too.

Both look only backwards: a token's segment and role never change when more tokens follow, so
they can be kept up to date while a model is generating. A ``<|question|>`` starts anew, so a row
of many packed sequences can be annotated in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.special import ANSWER, END_THINK, QUESTION, STEP, THINK


class Role(IntEnum):
    """What a token does. ``STEP`` is step text that is no number and no sign, such as a label."""

    QUESTION = 0
    STEP = 1
    OPERAND = 2
    OPERATOR = 3
    RESULT = 4
    ANSWER = 5
    SPECIAL = 6


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Beside ids of shape (..., T): ``segments`` int16 and ``roles`` int8, the same shape."""

    segments: NDArray[np.int16]
    roles: NDArray[np.int8]


def annotate(tok: Tokenizer, ids: Sequence[int] | NDArray[Any]) -> Annotation:
    """Segments and roles of prompt and completion together, either style, for ids of shape
    (..., T). Ids outside the vocabulary count as plain text."""
    ids_T = np.asarray(ids, dtype=np.int64)
    lexical = _lexical_roles(tok)
    known = (ids_T >= 0) & (ids_T < len(lexical))
    lexical_T = lexical[np.where(known, ids_T, -1)]
    special = tok.special

    # "Index of the latest such token so far" turns questions of order into comparisons.
    question_T = _latest(ids_T == special[QUESTION])
    think_T = _latest(ids_T == special[THINK])
    answer_T = np.maximum(_latest(ids_T == special[ANSWER]), _latest(ids_T == special[END_THINK]))
    position_T = np.broadcast_to(np.arange(ids_T.shape[-1]), ids_T.shape)

    answering_T = answer_T > np.maximum(question_T, think_T)
    thinking_T = (think_T > question_T) & (position_T > think_T) & ~answering_T
    closing_T = thinking_T & (ids_T == special[STEP])
    closed_T = np.cumsum(closing_T, axis=-1) - closing_T  # closed before this token, in the row
    at_question_T = np.maximum(question_T, 0)
    closed_T -= np.take_along_axis(closed_T, at_question_T, axis=-1)
    segments_T = np.where(thinking_T | answering_T, closed_T + 1, 0)

    special_T = lexical_T == Role.SPECIAL
    equals_T = _latest((lexical_T == Role.RESULT) & thinking_T)
    after_equals_T = equals_T > _latest(special_T)
    in_step_T = np.where(
        lexical_T == Role.RESULT,
        Role.OPERATOR,
        np.where((lexical_T == Role.OPERAND) & after_equals_T, Role.RESULT, lexical_T),
    )
    roles_T = np.where(
        special_T,
        Role.SPECIAL,
        np.where(answering_T, Role.ANSWER, np.where(thinking_T, in_step_T, Role.QUESTION)),
    )
    return Annotation(segments_T.astype(np.int16), roles_T.astype(np.int8))


def _latest(flags_T: NDArray[np.bool_]) -> NDArray[np.int64]:
    """At each position the index of the latest true flag at or before it, -1 for none."""
    positions = np.where(flags_T, np.arange(flags_T.shape[-1]), -1)
    return np.maximum.accumulate(positions, axis=-1)


@lru_cache(maxsize=8)
def _lexical_roles(tok: Tokenizer) -> NDArray[np.int8]:
    """By id, what its spelling alone says: ``SPECIAL``, ``OPERAND`` (has a digit), ``RESULT``
    (stands for the equals sign here), ``OPERATOR`` or ``STEP``. One more entry, ``STEP``, for
    ids outside the vocabulary."""
    roles = np.full(tok.vocab_size + 1, Role.STEP, dtype=np.int8)
    special_ids = set(tok.special.values())
    for token_id in range(tok.vocab_size):
        text = tok.token_bytes(token_id).decode("utf-8", "ignore")
        if token_id in special_ids:
            roles[token_id] = Role.SPECIAL
        elif any(character.isdigit() for character in text):
            roles[token_id] = Role.OPERAND
        elif any(character.isalpha() for character in text):
            roles[token_id] = Role.STEP
        elif "=" in text:
            roles[token_id] = Role.RESULT
        elif any(character in "+-*/" for character in text):
            roles[token_id] = Role.OPERATOR
    return roles
