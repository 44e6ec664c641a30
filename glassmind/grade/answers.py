"""Find the answer in free text.

Models trained elsewhere, and people, end their solutions in a handful of ways. They are tried
from the most to the least deliberate, and within each way the last occurrence counts, because a
solution corrects itself forwards:

1. GSM8K's closing line (Cobbe et al. 2021, arXiv 2110.14168): ``#### 72`` (a number must follow;
   ``#### Step 1`` and ``#### 1. Compute`` are headings), unless a box comes after it
2. LaTeX's box, as in MATH (Hendrycks et al. 2021, arXiv 2103.03874): ``\\boxed{72}``
3. words: ``The answer is 72.``, ``answer: (B)``, ``The answer is $\\frac{3}{4}$.``
4. otherwise the last number or formula in the text

Text between ``<think>`` and ``</think>`` is not searched. A block that is never closed extends to
the end, so a model that ran out of tokens while thinking has given no answer (unless it gave one
before). A ``</think>`` alone closes a block that the prompt opened.

A text that states two answers has not decided: for ``the answer is 5 or 6`` the answer is
``5 or 6``, which equals neither.

Rules this lenient favour a model that mentions many numbers. Therefore our own models answer
between special tokens, and these rules are only for text from other models.
"""

from __future__ import annotations

import re
from itertools import islice

from glassmind.grade.forms import Form, Formula, Group, Named, Number, Words, read_answer
from glassmind.grade.numbers import MAGNITUDE, MULTIPLIERS, parse_number
from glassmind.grade.typesetting import closing_brace, unwrap

TAIL_LENGTH = 20_000
"""Only this many characters from the end are searched, because answers come at the end."""

_THINK = re.compile(r"<(/?)think(?:ing)?>")
_MARKED = re.compile(r"####[ \t]*(\S[^\n]*)")
_HEADING = re.compile(r"[0-9]+[.):][ \t]*[^\W\d_*]")
_BOX = "\\boxed{"
_BARE_BOX = re.compile(r"\\boxed +([\w.,/-]*\w)")  # \boxed 72
_BOX_OR = re.compile(r"(?:\$|\\\))?\s*(?:,|,?\s*(?:or|and))\s*(?:\$|\\\()?(?:\s*[A-Za-z]\s*=\s*)?$")
# Up to the end of the line or the next "answer", so that a correction is a match of its own.
_SPOKEN = re.compile(r"\banswer\b((?:(?!\banswer\b)[^\n])*)", re.IGNORECASE)
_LEAD = re.compile(r"[^:=\n]{0,100}?(?:\b(?:is|are|be)\b:?|[:=])[\s*]*")
_CHOICE = re.compile(r"\(?[A-E](?:\)|[.:*,;]|\s*$)")
_CLAUSE_END = re.compile(r"[.!?;:](?:\s|\**$)|,?\s(?:because|since|so|as|which|when|where|if)\s|\n")
_FORMULA_IN_TEXT = re.compile(
    r"(?<![\\$\d])\$(?=[^\s$])([^$\n]{1,200})(?<=\S)\$(?!\d)"
    r"|\\\(((?:(?!\\\)).){1,200})\\\)|\\\[((?:(?!\\\]).){1,200})\\\]",
    re.DOTALL,
)
_CURRENCY = r"\\?[$€£¥₹][ \t]?"
_NUMBER_IN_TEXT = re.compile(
    # Not an exponent or an index, and a minus belongs to the number unless something stands
    # directly before it (20-5).
    rf"(?<![\w.^_])(?<![\^_]\{{)(?<![\^_]-)(?:(?<![)\]])[-\u2212])?(?:{_CURRENCY})?(?<![\d.])"
    rf"(?:\d+[ \t]\d+/\d+(?![\d/])|\d+/\d+(?![\d/])|(?:{MAGNITUDE})(?:[eE][-+]?\d{{1,2}}(?!\w))?)"
    rf"(?:[ \t]?(?:\\?%|(?:percent|per cent|{'|'.join(MULTIPLIERS)})\b))?",
    re.ASCII,
)
_OR = re.compile(r"\**\s*(?:[A-Za-z]+\s*)?(?:,\s*)?(?:or|and)\s+\**")


def extract_answer(text: str) -> str | None:
    """The final answer ``text`` states, as written there (``"$1,800"``), or ``None``.

    Tries the four ways of the module's docstring in turn. Time is linear in the length of the text.
    Only the search for ``<think>`` reads all of it; the rest looks at the last ``TAIL_LENGTH``
    characters.
    """
    text = _without_thinking(text)[-TAIL_LENGTH:]
    box_at, boxed = _last_boxed(text)
    for found in reversed(list(_MARKED.finditer(text))):
        if found.start() < box_at:
            break
        marked = _marked_number(found[1])
        if marked:
            return marked
    if boxed:
        return boxed
    for found in reversed(list(_SPOKEN.finditer(text))):
        stated = _stated(found[1])
        if stated:
            return stated
    return _last_in(text)


def _without_thinking(text: str) -> str:
    """``text`` without the parts between <think> and </think>."""
    kept: list[str] = []
    begin = 0
    thinking = False
    for tag in _THINK.finditer(text):
        if tag[1]:
            if not thinking:  # the prompt opened it
                kept.clear()
            thinking = False
            begin = tag.end()
        elif not thinking:
            kept.append(text[begin : tag.start()])
            thinking = True
    if not thinking:
        kept.append(text[begin:])
    return "\n".join(kept)


def _marked_number(line: str) -> str | None:
    """The number after ####, or None for a heading."""
    form = read_answer(line)
    if isinstance(form, Number):
        return _right_side(line, form)
    if _HEADING.match(line):
        return None
    numbers = _numbers_in(line)
    return _first(line, numbers) if numbers and numbers[0].start() == 0 else None


def _last_boxed(text: str) -> tuple[int, str | None]:
    """Where the last closed ``\\boxed{...}`` begins (-1: there is none), and its content.

    ``\\boxed{5}$ or $\\boxed{6}`` is one answer of two parts.
    """
    start = text.rfind(_BOX)
    end = closing_brace(text, start + len(_BOX)) if start >= 0 else -1
    if end < 0:
        bare = list(_BARE_BOX.finditer(text))
        return (bare[-1].start(), bare[-1][1]) if bare else (-1, None)
    contents = [text[start + len(_BOX) : end].strip()]
    first = start
    while len(contents) < 16:
        link = _BOX_OR.search(text, max(0, first - 40), first)
        before = text.rfind(_BOX, 0, first)
        if link is None or before < 0 or text[link.start() - 1 : link.start()] != "}":
            break
        if closing_brace(text, before + len(_BOX)) != link.start() - 1:
            break
        contents.insert(0, text[before + len(_BOX) : link.start() - 1].strip())
        first = before
    return start, ", ".join(contents) or None


def _stated(statement: str) -> str | None:
    """The answer stated after the word "answer"; None if there is none."""
    lead = _LEAD.match(statement)
    said = statement[lead.end() :] if lead else statement
    if lead and _CHOICE.match(said):
        return said.strip(" \t(").strip()[0]
    formula = _FORMULA_IN_TEXT.match(said)
    end = _CLAUSE_END.search(said, formula.end() if formula else 0)
    clause = said[: end.start()] if end else said
    form = read_answer(clause.strip(" *"))
    if lead and _is_mathematics(form):
        return _right_side(clause, form)
    if formula:
        return _right_side(_inside(formula), read_answer(_inside(formula)))
    statement = statement.rsplit("=", 1)[-1]  # "the answer is 3*12 = 36" states 36
    numbers = _numbers_in(statement)
    return _first(statement, numbers) if numbers else None


def _last_in(text: str) -> str | None:
    """The last number in ``text``, or the formula it is in."""
    matches = reversed(list(_NUMBER_IN_TEXT.finditer(text)))
    numbers = list(islice(filter(_is_number, matches), 2))[::-1]
    if not numbers:
        return None
    formulas = list(_FORMULA_IN_TEXT.finditer(text))
    if formulas and formulas[-1].end() >= numbers[-1].end():
        inside = _inside(formulas[-1])
        form = read_answer(inside)
        if _is_mathematics(form):
            return _right_side(inside, form)
    if len(numbers) > 1 and _OR.fullmatch(text, numbers[-2].end(), numbers[-1].start()):
        return _first(text, numbers)
    return numbers[-1][0].strip()


def _is_mathematics(form: Form) -> bool:
    """Whether a form has parts, and none of them is words."""
    if isinstance(form, Group):
        return all(map(_is_mathematics, form.parts))
    return not isinstance(form, Words) and form != Formula("")


def _right_side(written: str, form: Form) -> str:
    """``36`` of ``3*12 = 36`` and of ``x = 36``; other answers as they are written."""
    value = form.value if isinstance(form, Named) else form
    if not isinstance(value, Number):
        return unwrap(written)
    written = unwrap(unwrap(written).rsplit("=", 1)[-1])
    number = _NUMBER_IN_TEXT.match(written)
    if number and parse_number(number[0].strip()) == value.number.value:
        return number[0].strip()  # without its unit
    return written


def _numbers_in(text: str) -> list[re.Match[str]]:
    """Every number in ``text``, in order of appearance."""
    return list(filter(_is_number, _NUMBER_IN_TEXT.finditer(text)))


def _is_number(found: re.Match[str]) -> bool:
    return parse_number(found[0].strip()) is not None


def _first(text: str, numbers: list[re.Match[str]]) -> str:
    """The first of ``numbers``, with the alternatives named together with it ("5 or 6")."""
    last = 0
    while last + 1 < len(numbers) and _OR.fullmatch(
        text, numbers[last].end(), numbers[last + 1].start()
    ):
        last += 1
    return text[numbers[0].start() : numbers[last].end()].strip()


def _inside(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None)
