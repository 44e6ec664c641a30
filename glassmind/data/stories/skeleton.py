"""Skeletons: stories without words, as events with numbers and the steps that follow from them.

A skeleton is drawn event by event. Each event adds its shape's steps (one or two), and the states
of the family say which events may come next. An attempt that reaches a dead end (no numbers fit, or
no event fits the remaining steps) is discarded and restarted.
"""

from __future__ import annotations

from dataclasses import dataclass

from glassmind.data.stories.family import Event, Family
from glassmind.data.stories.shapes import Numbers, S, Uniform, X

_TRIES_PER_EVENT = 8


@dataclass(frozen=True, slots=True)
class SkeletonStep:
    """One operation on numbers: operands, where each came from, result."""

    operator: str
    operands: tuple[int, int]
    uses: tuple[int | None, int | None]
    value: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Events with their numbers, and the final state of the story, which decides the question."""

    family: Family
    events: tuple[tuple[Event, Numbers], ...]
    steps: tuple[SkeletonStep, ...]
    state: str

    @property
    def content(self) -> str:
        """The abstract content as text, the same for all tellings of one problem."""
        told = ";".join([f"{event.name}{numbers}" for event, numbers in self.events])
        return f"{self.family.name}|{told}"


def draw_skeleton(
    u: Uniform, family: Family, n_steps: int, max_number: int, max_result: int
) -> Skeleton | None:
    """One attempt at a story of exactly ``n_steps`` steps; ``None`` if it reached a dead end.

    ``u`` gives uniform numbers in [0, 1). Every literal is at most ``max_number`` and every
    result at most ``max_result`` (except general knowledge, such as 60 minutes).
    """
    number = min(max_number, family.number_cap or max_number)
    result = min(max_result, family.result_cap or max_result)
    events: list[tuple[Event, Numbers]] = []
    steps: list[SkeletonStep] = []
    state = ""
    x: int = 0
    x_from: int | None = None
    while not events or len(steps) < n_steps:
        left = n_steps - len(steps)
        choices = family.next_events(state, left)
        numbers: Numbers | None = None
        for _ in range(_TRIES_PER_EVENT if choices else 0):
            event = choices[int(u() * len(choices))]
            if not _worn_out(event, events):
                numbers = event.shape.draw(u, x, number, result)
                if numbers is not None:
                    break
        if numbers is None:
            return None
        last, last_from = x, x_from
        for operator, left_ref, right_ref in event.shape.program:
            a, a_from = _operand(left_ref, numbers, x, x_from, last, last_from)
            b, b_from = _operand(right_ref, numbers, x, x_from, last, last_from)
            last, last_from = _apply(operator, a, b), len(steps)
            steps.append(SkeletonStep(operator, (a, b), (a_from, b_from), last))
        x, x_from = (last, last_from) if event.shape.program else (numbers[0], None)
        events.append((event, numbers))
        state = event.to or state
    return Skeleton(family, tuple(events), tuple(steps), state)


def _worn_out(event: Event, told: list[tuple[Event, Numbers]]) -> bool:
    """Whether the story has just had this event, or has reached its limit."""
    if not told:
        return False
    return told[-1][0] is event or sum(e is event for e, _ in told) >= event.limit


def _operand(
    ref: int, numbers: Numbers, x: int, x_from: int | None, last: int, last_from: int | None
) -> tuple[int, int | None]:
    """The value of a program's reference, and the step it came from, if any."""
    if ref == X:
        return x, x_from
    if ref == S:
        return last, last_from
    return numbers[ref], None


def _apply(operator: str, a: int, b: int) -> int:
    """The result of one step; shapes draw numbers for which it is a non-negative integer."""
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    return a // b
