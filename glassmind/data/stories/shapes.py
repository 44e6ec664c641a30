"""Shapes: what an event does to the numbers of a story, without words.

A story has one *running quantity* ``x`` (pencils in a bag, dollars in a pocket). An event draws one
or two new numbers and computes one or two steps with them; the last gives the new running quantity.
"Mia buys 3 boxes of 12 pencils" is the shape ``GAIN_GROUPS``: draw ``(3, 12)``, then compute
``3*12`` and ``x + that``.

A shape is a pair: ``draw`` picks numbers that keep every result a non-negative integer inside
the limits (or returns ``None``: no such numbers for this ``x``), and ``program`` lists the steps
as ``(operator, left, right)``, where a non-negative index means a drawn number, ``X`` the running
quantity and ``S`` the previous step of the same event. The families add the words, so one shape
serves a dozen different stories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

X = -1  # the running quantity before the event
S = -2  # the previous step of the same event

Uniform = Callable[[], float]
Numbers = tuple[int, ...]
# (uniform in [0, 1), running quantity, largest literal, largest result) -> numbers, if any
Draw = Callable[[Uniform, int, int, int], Numbers | None]


class Shape(NamedTuple):
    """How an event draws its numbers, and the steps it then adds to the solution."""

    draw: Draw
    program: tuple[tuple[str, int, int], ...]


def _between(u: Uniform, low: int, high: int) -> Numbers | None:
    """One number uniform in [low, high]; ``None`` when the range is empty."""
    return (low + int(u() * (high - low + 1)),) if high >= low else None


def _groups(u: Uniform, number: int, room: int) -> Numbers | None:
    """A (small, any) pair of factors whose product is at most ``room``: 3 boxes of 12."""
    if room < 4:
        return None
    small = 2 + int(u() * min(8, number - 1, room // 2 - 1))
    largest = min(number, room // small)
    return (small, 2 + int(u() * (largest - 1)))


def _divisor(u: Uniform, x: int, number: int, divisors: tuple[int, ...]) -> Numbers | None:
    """One of ``divisors`` that divides ``x`` and leaves at least 2."""
    fits = [k for k in divisors if x % k == 0 and x >= 2 * k and k <= number]
    return (fits[int(u() * len(fits))],) if fits else None


# --- openings: x does not exist yet ---------------------------------------------------------


def _given(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 4, min(number, result))


def _given_round(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    unit = (4, 6, 10, 12)[int(u() * 4)]
    most = min(number, result) // unit
    return (unit * (1 + int(u() * most)),) if most else None


def _product(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    pair = _groups(u, number, result)
    return (pair[1], pair[0]) if pair and u() < 0.5 else pair


def _count_each(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _groups(u, number, result)


def _rate_time(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    pair = _groups(u, number, result)
    return (pair[1], pair[0]) if pair else None


def _sides(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    pair = _groups(u, number, result)
    return (max(pair), min(pair)) if pair and pair[0] != pair[1] else None


def _round_the_edge(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    long = 5 + int(u() * (min(number, result // 4) - 4))
    return (long, 2 + int(u() * (long - 3)), 2)


def _square(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    side = _between(u, 3, min(number, result // 4))
    return (side[0], 4) if side else None


def _narrower(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    wide = 2 + int(u() * 8)
    gap = _between(u, 2, min(number, result // wide) - wide)
    return (wide + gap[0], gap[0]) if gap else None


def _two(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    most = min(number, result // 2)
    return (2 + int(u() * (most - 1)), 2 + int(u() * (most - 1)))


def _hours(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    hours = _between(u, 2, min(6, result // 60))
    return (hours[0], 60) if hours else None


GIVEN = Shape(_given, ())
GIVEN_ROUND = Shape(_given_round, ())
PRODUCT = Shape(_product, (("*", 0, 1),))
COUNT_EACH = Shape(_count_each, (("*", 0, 1),))
RATE_TIME = Shape(_rate_time, (("*", 0, 1),))
AREA = Shape(_sides, (("*", 0, 1),))
PERIMETER = Shape(_round_the_edge, (("+", 0, 1), ("*", S, 2)))
SQUARE_EDGE = Shape(_square, (("*", 0, 1),))
NARROW_AREA = Shape(_narrower, (("-", 0, 1), ("*", 0, S)))
SUM = Shape(_two, (("+", 0, 1),))
HOURS = Shape(_hours, (("*", 0, 1),))


# --- events on the running quantity ---------------------------------------------------------


def _gain(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 2, min(number, result - x))


def _lose(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 2, min(number, x - 2))


def _times(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    # Two digits times one digit, mostly: a larger running quantity is not multiplied again.
    return _between(u, 2, min(9, number, result // x)) if 1 < x <= number else None


def _times_few(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 2, min(5, number, result // x - 1)) if 1 < x <= number else None


def _divide(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _divisor(u, x, number, (2, 3, 4, 5, 6, 7, 8, 9))


def _part(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _divisor(u, x, number, (2, 3, 4, 5))


def _percent(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _divisor(u, x, number, (2, 4, 5, 10))


def _more_part(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _percent(u, x, number, result) if x + x // 2 <= result else None


def _gain_groups(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _groups(u, number, result - x)


def _gain_rate(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    pair = _groups(u, number, result - x)
    return (pair[1], pair[0]) if pair else None


def _lose_groups(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _groups(u, number, x - 2)


def _keep_then_divide(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    people = 2 + int(u() * min(7, number - 2))
    kept = x % people or people
    choices = (min(number, x - 2 * people) - kept) // people + 1
    if choices < 1:
        return None
    kept += people * int(u() * choices)
    return (kept, people) if kept > 1 else None


def _from_total(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, x + 2, min(number, result))


def _from_hours(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    hours = _between(u, max(2, x // 60 + 1), min(9, result // 60))
    return (hours[0], 60) if hours else None


def _swap(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    out = _lose(u, x, number, result)
    back = _gain(u, x, number, result)
    return (out[0], back[0]) if out and back and out != back else None


def _side_part(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    part = 2 + int(u() * 4)
    most = min(number // part, result - x)
    return (part * (2 + int(u() * (most - 1))), part) if most > 1 else None


def _more_total(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 2, min(number, result - 2 * x))


def _less_total(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
    return _between(u, 2, min(number, x - 2)) if 2 * x <= result else None


GAIN = Shape(_gain, (("+", X, 0),))
LOSE = Shape(_lose, (("-", X, 0),))
TIMES = Shape(_times, (("*", X, 0),))
TIMES_FEW = Shape(_times_few, (("*", X, 0),))
DIVIDE = Shape(_divide, (("/", X, 0),))
TAKE_PART = Shape(_part, (("/", X, 0),))
LOSE_PART = Shape(_part, (("/", X, 0), ("-", X, S)))
LOSE_PERCENT = Shape(_percent, (("/", X, 0), ("-", X, S)))
GAIN_PERCENT = Shape(_more_part, (("/", X, 0), ("+", X, S)))
GAIN_GROUPS = Shape(_gain_groups, (("*", 0, 1), ("+", X, S)))
GAIN_RATE = Shape(_gain_rate, (("*", 0, 1), ("+", X, S)))
LOSE_GROUPS = Shape(_lose_groups, (("*", 0, 1), ("-", X, S)))
KEEP_THEN_DIVIDE = Shape(_keep_then_divide, (("-", X, 0), ("/", S, 1)))
FROM_TOTAL = Shape(_from_total, (("-", 0, X),))
FROM_HOURS = Shape(_from_hours, (("*", 0, 1), ("-", S, X)))
SWAP = Shape(_swap, (("-", X, 0), ("+", S, 1)))
SIDE_PART = Shape(_side_part, (("/", 0, 1), ("+", X, S)))
MORE_TOTAL = Shape(_more_total, (("+", X, 0), ("+", X, S)))
LESS_TOTAL = Shape(_less_total, (("-", X, 0), ("+", X, S)))
TIMES_TOTAL = Shape(_times_few, (("*", X, 0), ("+", X, S)))
TIMES_DIFFERENCE = Shape(_times_few, (("*", X, 0), ("-", S, X)))


def times_constant(k: int) -> Shape:
    """Multiply by a known number (7 days in a week) that the text does not state."""

    def draw(u: Uniform, x: int, number: int, result: int) -> Numbers | None:
        return (k,) if x <= number and x * k <= result else None

    return Shape(draw, (("*", X, 0),))
