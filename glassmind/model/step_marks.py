"""Segments and roles of whole rows at once: ``step_structure`` as a few sums over the row.

In a packed row a token follows ``previous_BT[b, t]``: usually the token before it; the first token
of a document follows nothing (its own index), and the first of a branch follows its prompt's last.
What a token's segment depends on is a *count* of tokens before it: of those that end a segment, of
equals signs. Along a row such a count is a difference of cumulative sums, and a branch adds the
count of its prompt.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.step_structure import KINDS, Kind, Role, StepState

_SPECIAL = (Kind.QUESTION, Kind.THINK, Kind.STEP, Kind.END_THINK, Kind.ANSWER, Kind.SPECIAL)


def kind_table(token_kinds: str) -> Tensor:
    """(V,) the index in ``KINDS`` of each token's kind, uint8."""
    return torch.tensor([KINDS.index(kind) for kind in token_kinds], dtype=torch.uint8)


@dataclass(frozen=True, eq=False)
class StepMarks:
    """Segment, role, and position counted from the question's end, of every token: (B, T) each."""

    segment: Tensor
    role: Tensor
    position: Tensor

    def at(self, indices: Tensor) -> StepMarks:
        """The marks of some tokens, given by index: (N,) of every row, or (B, N)."""
        of_rows = indices.expand(len(self.role), -1)
        return StepMarks(
            self.segment.gather(1, of_rows),
            self.role.gather(1, of_rows),
            self.position.gather(1, of_rows),
        )

    @staticmethod
    def of_states(states_BT: Tensor) -> StepMarks:
        """From ``StepState`` rows (B, T, 7), as a cache keeps them."""
        fields = StepState._fields
        return StepMarks(
            *(states_BT[..., fields.index(name)] for name in ("segment", "role", "position"))
        )


def read_marks(ids_BT: Tensor, kinds_V: Tensor, previous_BT: Tensor) -> StepMarks:
    """The marks of packed rows; ``kinds_V`` is a ``kind_table`` on the same device.

    A branch must follow a token of its document's prompt, not one of another branch.
    """
    kind = kinds_V[ids_BT]

    def among(kinds: Sequence[str]) -> Tensor:
        first, *others = (kind == KINDS.index(one) for one in kinds)
        for other in others:
            first = first | other
        return first

    index = torch.arange(ids_BT.shape[1], device=ids_BT.device).expand_as(ids_BT)
    begins = previous_BT != index - 1
    start = torch.where(begins, index, 0).cummax(dim=1).values  # of the stretch a token is in
    parent = previous_BT.gather(1, start)
    alone = parent == start  # the stretch begins a document

    def earlier(x_BT: Tensor) -> Tensor:
        """The sum of ``x_BT`` over the tokens before each in its document and branch."""
        x_BT = x_BT.long()
        until = x_BT.cumsum(dim=1) - x_BT
        own = until - until.gather(1, start)
        return own + (own + x_BT).gather(1, parent).masked_fill(alone, 0)

    opens = among((Kind.THINK, Kind.ANSWER))
    opens = opens & (earlier(opens) == 0)
    closes = among((Kind.STEP,)) & (earlier(opens) > 0)
    ends = opens | closes
    segment, depth = earlier(ends), earlier(torch.ones_like(ids_BT))

    # Where the last segment ended: in a token's own stretch, or else in the prompt it follows.
    latest = torch.where(ends, index, -1).cummax(dim=1).values
    latest = torch.where(latest >= start, latest, -1)
    before = torch.where(index > start, latest.roll(1, dims=1), -1)
    inherited = latest.gather(1, parent).masked_fill(alone, -1)
    last = torch.where(before >= 0, before, inherited).clamp(min=0)

    is_equals = among((Kind.EQUALS, Kind.EQUALS_NUMBER))
    equals = earlier(is_equals)
    equals_of_step = equals - (segment > 0) * (equals + is_equals).gather(1, last)
    answering = earlier(among((Kind.END_THINK, Kind.ANSWER))) > 0
    question = earlier(opens * (depth + 1))
    from_question = question + depth - depth.gather(1, last) - 1

    role = torch.full_like(ids_BT, Role.STEP)
    role.masked_fill_(among((Kind.OPERATOR,)), Role.OPERATOR)
    role.masked_fill_(among((Kind.NUMBER,)), Role.OPERAND)
    role.masked_fill_((equals_of_step > 0) & ~among((Kind.WORD,)), Role.RESULT)
    role.masked_fill_(among((Kind.EQUALS,)), Role.OPERATOR)
    role.masked_fill_(among((Kind.EQUALS_NUMBER,)), Role.RESULT)
    role.masked_fill_(answering, Role.ANSWER)
    role.masked_fill_(segment == 0, Role.QUESTION)
    role.masked_fill_(among(_SPECIAL), Role.SPECIAL)
    role.masked_fill_(closes, Role.CLOSING)
    return StepMarks(segment, role, torch.where(segment > 0, from_question, depth))
