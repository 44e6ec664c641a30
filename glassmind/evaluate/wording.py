"""How numbers are written for people, the same in the terminal and in the report."""

from __future__ import annotations


def percent(share: float) -> str:
    """0.882 -> ``88.2 %``."""
    return f"{100 * share:.1f} %"


def interval(low: float, high: float) -> str:
    """The bounds of a share: ``86.7 to 89.5 %``."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, always signed: ``+69.6``."""
    return f"{100 * difference:+.1f}"


def p_value(p: float) -> str:
    """``< 0.001``, or two significant digits: ``0.012``, ``0.34``."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_phrase(p: float) -> str:
    """The same in a sentence: ``p < 0.001``, ``p = 0.34``."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def duration(seconds: float) -> str:
    """``4.2 s``, ``2 min 05 s`` or ``1 h 12 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: float) -> str:
    """With thousands separators, no decimals above ten: ``1,800``, ``4.2``."""
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
