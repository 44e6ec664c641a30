"""The report's charts of accuracy: small panels, in which a method always has the same colour.

Each function takes records and returns an SVG string. Panels are narrow, so that a phone shows them
one below the other at readable size and a wide screen shows them side by side. The colours are
classes (``hue-3``, ``ceiling``), defined by the style sheet for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeVar

from glassmind.evaluate.charts.svg import (
    Scale,
    curve,
    dot,
    element,
    error_bar,
    frame,
    label,
    log_ticks,
    picture,
    ticks,
)
from glassmind.evaluate.ladder.names import is_ceiling, order, title
from glassmind.evaluate.run_files import LadderRow, StepsRow, VotesRow
from glassmind.evaluate.wording import count, interval, percent
from glassmind.quantity import quantity
from glassmind.reason import registry

HUES = 7
"""Colours that the style sheet has; an eighth method has the first one's."""

_WIDTH, _HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44

Row = TypeVar("Row", StepsRow, VotesRow)


def method_class(name: str) -> str:
    """The style sheet's classes that carry a method's colour: its position on the ladder."""
    if is_ceiling(name):
        return "ceiling"
    methods = len(registry.methods())
    return f"hue-{order(name) % HUES}" if order(name) < methods else "hue-none"


def ladder_panel(rows: Sequence[LadderRow], slice: str) -> str:
    """Accuracy of every method on one slice, in the ladder's order, with 95 % intervals."""
    ordered = sorted(rows, key=lambda row: order(row.rung))
    pitch, top = 29, 6
    names = max(140, 14 + 6.3 * max((len(title(row.rung)) for row in ordered), default=0))
    height = top + pitch * len(ordered)
    x = Scale(0, 1, names, _WIDTH - 62)
    parts = []
    for value in (0, 0.25, 0.5, 0.75, 1):
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=top, y2=height, class_="grid"))
        parts.append(label(at, height + 18, f"{value:.0%}", text_anchor="middle"))
    for i, row in enumerate(ordered):
        y = top + pitch * (i + 0.5)
        bar = f"M{x(row.ci_low):.1f} {y}H{x(row.ci_high):.1f}"
        caps = "".join(f"M{x(end):.1f} {y - 5}v10" for end in (row.ci_low, row.ci_high))
        drawn = [
            label(names - 12, y + 4, title(row.rung), text_anchor="end", class_="name"),
            element("line", x1=x(0), x2=x(row.accuracy), y1=y, y2=y, class_="lollipop"),
            element("path", d=bar + caps, class_="error"),
            dot(x(row.accuracy), y, _ladder_words(row), 3),
            label(_WIDTH, y + 4, percent(row.accuracy), text_anchor="end", class_="value"),
        ]
        parts.append(element("g", "".join(drawn), class_=method_class(row.rung)))
    spoken = "; ".join(f"{title(row.rung)} {percent(row.accuracy)}" for row in ordered)
    return picture(_WIDTH, height + 24, "".join(parts), f"Accuracy on {slice} problems: {spoken}.")


def tokens_panel(rows: Sequence[LadderRow], slice: str) -> str:
    """Accuracy against tokens per problem (logarithmic), a point for every method of one slice.

    Tokens are those written and those judged by a verifier.
    """
    rows = [row for row in rows if row.tokens > 0]
    x = _token_scale([row.tokens for row in rows])
    y = Scale(0, 1, _HEIGHT - _BOTTOM, _TOP)
    parts = [_token_frame(x, y)]
    for row in rows:
        # Methods with the same cost are drawn slightly apart.
        same = [r.rung for r in rows if r.tokens == row.tokens]
        aside = (sorted(same, key=order).index(row.rung) - (len(same) - 1) / 2) * 8
        at = x(row.tokens) + aside
        drawn = error_bar(at, y(row.ci_low), y(row.ci_high))
        drawn += dot(at, y(row.accuracy), _ladder_words(row), 3.5)
        parts.append(element("g", drawn, class_=method_class(row.rung)))
    spoken = "; ".join(
        f"{title(r.rung)} {percent(r.accuracy)} for {quantity(r.tokens, 'token')}"
        for r in sorted(rows, key=lambda r: r.tokens)
    )
    description = f"Accuracy on {slice} problems against tokens per problem: {spoken}."
    return picture(_WIDTH, _HEIGHT, "".join(parts), description)


def votes_panel(rows: Sequence[VotesRow]) -> str:
    """Accuracy against tokens per problem as the number of samples k grows, one line per method."""
    rows = [row for row in rows if row.tokens_per_problem > 0 and row.n > 0]
    x = _token_scale([row.tokens_per_problem for row in rows])
    y = _share_scale([s for row in rows for s in (row.ci_low, row.ci_high)])
    parts = [_token_frame(x, y)]
    by_rung = _grouped(rows)
    for name, group in by_rung.items():
        group.sort(key=lambda row: row.k)
        places = [(x(row.tokens_per_problem), y(row.correct / row.n)) for row in group]
        drawn = curve(places)
        for (at, height), row in zip(places, group, strict=True):
            tokens = quantity(row.tokens_per_problem, "token")
            words = (
                f"{title(name)}, k = {row.k}: {percent(row.correct / row.n)} "
                f"({interval(row.ci_low, row.ci_high)}), {tokens}"
            )
            drawn += error_bar(at, y(row.ci_low), y(row.ci_high)) + dot(at, height, words, 3.5)
        parts.append(element("g", drawn, class_=method_class(name)))
    # The number of samples at each place of the axis is written once, along the top.
    longest = max(by_rung.values(), key=len)
    parts.extend(
        label(x(r.tokens_per_problem), _TOP - 1, f"k={r.k}", text_anchor="middle", class_="note")
        for r in longest
    )
    spoken = "; ".join(
        f"{title(name)} from {percent(group[0].correct / group[0].n)} (k = {group[0].k}) "
        f"to {percent(group[-1].correct / group[-1].n)} (k = {group[-1].k})"
        for name, group in by_rung.items()
    )
    return picture(_WIDTH, _HEIGHT, "".join(parts), f"Accuracy as samples grow: {spoken}.")


def steps_panel(rows: Sequence[StepsRow], slice: str) -> str:
    """Accuracy by the number of steps that a problem needs, one line per method, on one slice."""
    rows = [row for row in rows if row.slice == slice and row.n > 0]
    lengths = sorted({row.steps for row in rows})
    x = Scale(lengths[0] - 0.5, lengths[-1] + 0.5, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0, 1, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        frame(x, y, lengths, ticks(0, 1, 5), "steps in the solution", "{:.0f}".format, _percent)
    ]
    by_rung = _grouped(rows)
    for i, (name, group) in enumerate(by_rung.items()):
        group.sort(key=lambda row: row.steps)
        # Methods are drawn slightly apart, so that their intervals do not cover each other.
        aside = (i - (len(by_rung) - 1) / 2) * 5
        places = [(x(row.steps) + aside, y(row.correct / row.n)) for row in group]
        drawn = curve(places)
        for (at, height), row in zip(places, group, strict=True):
            words = (
                f"{title(name)}, {quantity(row.steps, 'step')}: {percent(row.correct / row.n)} "
                f"({interval(row.ci_low, row.ci_high)}) of {quantity(row.n, 'problem')}"
            )
            drawn += error_bar(at, y(row.ci_low), y(row.ci_high)) + dot(at, height, words, 3.5)
        parts.append(element("g", drawn, class_=method_class(name)))
    spoken = "; ".join(
        f"{title(name)} " + ", ".join(f"{percent(r.correct / r.n)} at {r.steps}" for r in rows)
        for name, rows in by_rung.items()
    )
    description = f"Accuracy on {slice} problems by number of steps: {spoken}."
    return picture(_WIDTH, _HEIGHT, "".join(parts), description)


def legend(names: Sequence[str]) -> str:
    """Colour keys for methods, as HTML."""
    keys = "".join(
        f'<li class="{method_class(name)}"><i></i>{escape(title(name))}</li>'
        for name in sorted(set(names), key=order)
    )
    return f'<ul class="legend">{keys}</ul>'


def _ladder_words(row: LadderRow) -> str:
    return (
        f"{title(row.rung)}: {percent(row.accuracy)} "
        f"({interval(row.ci_low, row.ci_high)}), {row.correct:,} of {row.n:,}, "
        f"{quantity(row.tokens, 'token')} per problem"
    )


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: order(row.rung)):
        groups.setdefault(row.rung, []).append(row)
    return groups


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _token_scale(tokens: Sequence[float]) -> Scale:
    low, high = min(tokens, default=1), max(tokens, default=10)
    return Scale(low / 1.6, high * 1.6, _LEFT, _WIDTH - _RIGHT, logarithmic=True)


def _token_frame(x: Scale, y: Scale) -> str:
    heading = "tokens written and judged per problem (logarithmic)"
    x_ticks, y_ticks = log_ticks(x.low, x.high), ticks(y.low, y.high)
    return frame(x, y, x_ticks, y_ticks, heading, count, _percent)


def _share_scale(shares: Sequence[float]) -> Scale:
    """A vertical scale around the given shares, at tens of per cent."""
    low = max(0.0, int(min(shares, default=0) * 10) / 10)
    high = min(1.0, int(max(shares, default=1) * 10 + 1) / 10)
    return Scale(low, max(high, low + 0.1), _HEIGHT - _BOTTOM, _TOP + 10)
