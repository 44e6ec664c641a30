"""Find the answer in free text, and say whether it is right.

Models trained elsewhere, and people, end their solutions in a handful of ways. They are tried
from the most to the least deliberate, and within each way the last occurrence counts, because a
solution corrects itself forwards:

1. GSM8K's closing line (Cobbe et al. 2021, arXiv 2110.14168): ``#### 72`` (a number must follow,
   since ``#### Step 1`` is a heading)
2. LaTeX's box, as in MATH (Hendrycks et al. 2021, arXiv 2103.03874): ``\\boxed{72}``
3. words: ``The answer is 72.``
4. otherwise the last number in the text

A rule this lenient flatters a model that mentions many numbers; that is why our own models
answer between special tokens, and these rules are only for text from elsewhere.
"""

from __future__ import annotations

import re

from glassmind.grade.numbers import MAGNITUDE, MULTIPLIERS, canonical, parse_number, same_number

TAIL_LENGTH = 20_000
"""Only so many characters from the end are searched; an answer stands at the end."""

_MARKED = re.compile(r"####[ \t]*(\S[^\n]*)")
# Up to the end of the line or the next "answer", so that a correction is a match of its own.
_SPOKEN = re.compile(r"\banswer\b((?:(?!\banswer\b)[^\n])*)", re.IGNORECASE)
_CURRENCY = r"\\?[$€£¥₹][ \t]?"
_NUMBER_IN_TEXT = re.compile(
    # A minus belongs to the number unless something stands directly before it (20-5).
    rf"(?<![\w.])(?:(?<![)\]])[-\u2212])?(?:{_CURRENCY})?(?<![\d.])"
    rf"(?:\d+[ \t]\d+/\d+(?![\d/])|\d+/\d+(?![\d/])|(?:{MAGNITUDE})(?:[eE][-+]?\d{{1,2}}(?!\w))?)"
    rf"(?:[ \t]?(?:\\?%|(?:percent|per cent|{'|'.join(MULTIPLIERS)})\b))?",
    re.ASCII,
)


def extract_answer(text: str) -> str | None:
    """The final answer ``text`` states, as written there (``"$1,800"``), or ``None``.

    Tries the four ways of the module's docstring in turn. What comes back from ``\\boxed`` may be
    any text; from the others it is a number ``parse_number`` reads. Time is linear in the text, of
    which only the last ``TAIL_LENGTH`` characters are looked at.
    """
    text = text[-TAIL_LENGTH:]
    for line in reversed(_MARKED.findall(text)):
        number = _NUMBER_IN_TEXT.match(line)
        if number and parse_number(number[0]) is not None:
            return number[0].strip()
    boxed = _last_boxed(text)
    if boxed:
        return boxed
    for match in reversed(list(_SPOKEN.finditer(text))):
        statement = match[1].rsplit("=", 1)[-1]  # "the answer is 3*12 = 36" states 36
        numbers = _numbers_in(statement)
        if numbers:
            return numbers[0]
    numbers = _numbers_in(text)
    return numbers[-1] if numbers else None


def grade(problem_answer: str, given: str | None) -> bool:
    """Whether the answer ``given`` (already extracted) is ``problem_answer``.

    Numbers are compared as numbers (``grade.numbers``), anything else as text without regard to
    case and spacing. ``None``, a solution that never reached an answer, is wrong.
    """
    if given is None:
        return False
    if parse_number(problem_answer) is not None:
        return same_number(problem_answer, given)
    return canonical(problem_answer) == canonical(given)


def _numbers_in(text: str) -> list[str]:
    """Every number in ``text`` as written, in order of appearance."""
    found = (match[0].strip() for match in _NUMBER_IN_TEXT.finditer(text))
    return [number for number in found if parse_number(number) is not None]


def _last_boxed(text: str) -> str | None:
    """What stands in the last ``\\boxed{...}``, braces balanced, or ``None``."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    begin = start + len("\\boxed{")
    depth = 1
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position].strip()
    return None
