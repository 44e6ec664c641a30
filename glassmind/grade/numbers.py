"""One number, many spellings: is ``$1,800.00`` the same answer as ``1800``?

A model is right if it gives the right number, however it is written. So text is parsed into an
exact ``Fraction``, and fractions are compared: without floating point, there is no tolerance to
choose. The rules are:

* digits, thousands set apart by commas or spaces (``1,800`` and ``10 000`` but not ``18,00``),
  decimals (``18.00``, ``.75``), powers of ten (``1.5e3``, exponent at most 30), fractions
  (``3/4``), mixed numbers (``1 1/2``), a sign (``-`` or the typographic minus), one closing full
  stop; and what LaTeX writes for them: ``\\$``, ``\\%``, ``12,\\!500``, ``12{,}500``,
  ``\\frac{3}{4}``, ``\\frac34``, ``15\\text{ cm}``, ``90^\\circ``;
* a currency sign before, or a unit behind, is read and ignored: ``$18``, ``18 dollars``,
  ``60 km/h``, ``42 m^2``. Units are *not* converted: ``25 cents`` is 25, ``$0.25`` is a quarter;
* ``dozen``, ``hundred``, ``thousand``, ``million``, ``billion`` multiply: ``5 million`` is not 5;
* per cent divides by a hundred: ``75%`` equals ``0.75`` and ``3/4``, and does not equal ``75``
  (``equality.grade`` makes an exception);
* nothing is rounded: ``0.33`` is not ``1/3``;
* anything else (two numbers, a formula, ``5x``, words alone) is not a number: ``None``.

Input is untrusted: text above 64 characters is refused before any work, and so are exponents that
would make a number long.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_LENGTH = 64
"""Longer text is not read as a number."""

_MAX_EXPONENT = 30
_GROUPING = re.compile(r"[,\s]")

# Only ASCII digits: int() would also take other scripts, which the project never writes.
_SPACE = " \u00a0\u2009\u202f"
MAGNITUDE = (
    rf"(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+|[1-9][0-9]{{0,2}}(?:[{_SPACE}][0-9]{{3}})+(?![0-9])|[0-9]+)"
    r"(?:\.[0-9]+)?|\.[0-9]+"
)
"""Regular expression of an unsigned decimal, thousands set apart by commas or spaces."""

_NUMBER = re.compile(
    rf"""
    (?P<sign>[-+]?)\s*(?P<currency>[$€£¥₹]?)\s*(?P<inner_sign>-?)
    (?:
        (?:(?P<whole>[0-9]+)\s+)?(?P<top>[0-9]+)\s*/\s*(?P<bottom>[0-9]+)
      | (?P<decimal>{MAGNITUDE})(?:[eE](?P<exponent>[-+]?[0-9]{{1,2}}))?
    )
    (?:\s*(?P<percent>%|percent\b|per\ cent\b)|(?P<trailing_currency>\s*[€£¥₹$]))?
    (?P<unit>\s*/?[^\W\d_](?:\^\{{?-?[1-9]\}}?|[^\d_^])*)?
    \.?
    """,
    re.VERBOSE,
)
_ARGUMENT = r"\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))"
_LATEX_FRACTION = re.compile(rf"\\[dt]?frac{_ARGUMENT}{_ARGUMENT}")
_LATEX_TEXT = re.compile(
    r"\\(?:text|textbf|textnormal|mbox|mathrm|mathbf)\s*\{\s*([^{}]*?)\s*\}(?=([\^.])?)"
)
_LATEX_SPACE = re.compile(r"\\[,;: ]|~")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|°")
_UNIT_WORD = re.compile(r"([^\W\d_][\w²³°'/-]*)(?:\^\{?-?[1-9]\}?)?\.?")
MULTIPLIERS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
}
"""Words that multiply the number they follow."""

# Words after which the number before them is not the whole amount.
_NOT_A_UNIT = {"and", "or", "half", "halves", "third", "thirds", "tenths", "hundredths", "pi"}
# A single letter after a number is algebra (5x) or a magnitude (5k), unless it is one of these.
_LETTER_UNITS = {"m", "g", "l", "L", "s", "h"}


class WrittenNumber(NamedTuple):
    """A number as read: its exact ``value``, and whether a per cent sign followed it."""

    value: Fraction
    percent: bool


def read_number(text: str) -> WrittenNumber | None:
    """The number that ``text`` is, or ``None`` if it is not one number.

    The module's docstring lists the rules. Never raises; time and memory are bounded because
    text above ``MAX_LENGTH`` characters is refused.
    """
    if len(text) > MAX_LENGTH:
        return None
    text = text.replace("\u2212", "-")
    if "\\" in text or "{" in text or "°" in text:
        text = _without_latex(text)
    match = _NUMBER.fullmatch(text.strip())
    if match is None or (match["sign"] and match["inner_sign"]):
        return None
    scale = _unit_scale(match["unit"] or "", has_currency=bool(match["currency"]))
    if scale is None:
        return None
    if match["decimal"]:
        exponent = int(match["exponent"] or 0)
        if abs(exponent) > _MAX_EXPONENT:
            return None
        value = Fraction(_GROUPING.sub("", match["decimal"])) * Fraction(10) ** exponent
    else:
        top, bottom = int(match["top"]), int(match["bottom"])
        if bottom == 0 or (match["whole"] and top >= bottom):
            return None  # "1 5/2" is more likely two numbers than a mixed one
        value = int(match["whole"] or 0) + Fraction(top, bottom)
    if match["percent"]:
        value /= 100
    negative = match["sign"] == "-" or match["inner_sign"] == "-"
    return WrittenNumber((-value if negative else value) * scale, bool(match["percent"]))


def parse_number(text: str) -> Fraction | None:
    """The exact value of the number that ``text`` is; see ``read_number``."""
    number = read_number(text)
    return None if number is None else number.value


def canonical(number: Fraction | int | str) -> str:
    """The spelling that all equal numbers share, so that votes can be counted by string.

    Whole numbers are plain digits (``1800``), numbers whose decimals end are decimals (``0.75``),
    the rest are fractions in lowest terms (``1/3``). Text that is not a number comes back
    lower-cased with its spaces collapsed, so that ``"Blue "`` and ``blue`` are one vote.
    ``canonical(canonical(x)) == canonical(x)``.
    """
    if isinstance(number, str):
        parsed = parse_number(number)
        if parsed is None:
            text = " ".join(number.split())
            lower = text.lower()  # unless that makes it a number: 0M is not 0 m
            return lower if parse_number(lower) is None else text
        number = parsed
    number = Fraction(number)
    if number.denominator == 1:
        return str(number.numerator)
    places = _decimal_places(number.denominator)
    if places is None:
        return f"{number.numerator}/{number.denominator}"
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def spelled_answer(number: WrittenNumber) -> str:
    """``canonical``, but a per cent sign stays, because ``grade`` looks at it: ``28%``."""
    return f"{canonical(100 * number.value)}%" if number.percent else canonical(number.value)


def same_number(a: Fraction | int | str, b: Fraction | int | str) -> bool:
    """Whether both are numbers, and the same one: 18 == 18.00 == $18, 3/4 == 0.75 == 75%."""
    x = parse_number(a) if isinstance(a, str) else Fraction(a)
    y = parse_number(b) if isinstance(b, str) else Fraction(b)
    return x is not None and x == y


def _without_latex(text: str) -> str:
    """``text`` with LaTeX's commands for numbers and units replaced by what they print."""
    text = text.replace("\\$", "$").replace("\\%", "%").replace("{,}", ",").replace("\\!", "")
    text = _LATEX_SPACE.sub(" ", _DEGREES.sub(" degrees", text))
    text = _LATEX_TEXT.sub(lambda found: f" {found[1]}{'' if found[2] else ' '}", text)
    return _LATEX_FRACTION.sub(r" \1\2/\3\4", text)


def _unit_scale(unit: str, *, has_currency: bool) -> int | None:
    """The factor that the words after a number stand for; ``None`` if they change its meaning."""
    words = unit.strip().removeprefix("/").split()
    attached = not unit[:1].isspace()
    if len(words) > 5:
        return None  # a sentence, not a unit
    scale = 1
    for position, word in enumerate(words):
        written = _UNIT_WORD.fullmatch(word)
        if written is None:
            return None
        bare = written[1].lower()
        if position == 0 and bare in MULTIPLIERS:
            scale = MULTIPLIERS[bare]
            continue
        if bare in _NOT_A_UNIT or bare in MULTIPLIERS:
            return None
        if len(bare) == 1 and position == 0:
            power = attached and "^" in word  # 5m^2 is algebra, 5 m^2 an area
            if has_currency or power or written[1] not in _LETTER_UNITS:
                return None
    return scale


def _decimal_places(denominator: int) -> int | None:
    """How many decimals a fraction with this denominator (lowest terms) has; ``None`` if endless.

    Endless unless the denominator is 2^i 5^j, and then max(i, j) places.
    """
    counts = []
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator //= prime
            count += 1
        counts.append(count)
    return max(counts) if denominator == 1 else None
