"""When two answers are the same.

Plain numbers are compared exactly (``numbers``). Other answers are parsed (``forms``) and compared
part by part: tuples and intervals in order, lists and sets in any order, words as text. Formulas
that differ in spelling are compared in a worker process (``symbolic``).

There are two functions. ``grade`` compares with the right answer. A question that asks for a
percentage leaves open how it is written, so if only one of the two has a per cent sign, the sign
may be the unit (right answer ``28``, given ``28%``, or the reverse) or mean hundredths (``0.28``
and ``28%``). ``equal`` compares two answers of which neither is known to be right; there ``28%`` is
``0.28`` and not ``28``.

Equality is reflexive and symmetric. A name is not part of an answer unless both have one: ``x=15``
is ``15``, and is not ``y=15``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from glassmind.grade.forms import (
    Form,
    Formula,
    Group,
    Matrix,
    Named,
    Number,
    Relation,
    Union,
    Words,
    read_answer,
)
from glassmind.grade.numbers import WrittenNumber, canonical, read_number
from glassmind.grade.symbolic import CutOff, same_formula

SECONDS = 10.0
"""The limit for one pair of answers, however many formulas they contain."""


def grade(problem_answer: str, given: str | None) -> bool:
    """Whether the answer ``given`` (already extracted) is ``problem_answer``.

    ``None`` (no answer was found) is wrong; so is an answer whose comparison was cut off
    (``symbolic.comparisons`` counts those).
    """
    try:
        return given is not None and decide(problem_answer, given)
    except CutOff:
        return False


def decide(problem_answer: str, given: str) -> bool:
    """``grade``, for callers that tell a wrong answer from one that could not be compared.

    Raises:
        CutOff: the comparison was cut off.
    """
    gold, number = read_number(problem_answer), read_number(given)
    if gold is None or number is None:
        gold_form, form = read_answer(problem_answer), read_answer(given)
        bare_gold, bare = _without_name(gold_form), _without_name(form)
        if not (isinstance(bare_gold, Number) and isinstance(bare, Number)):
            return same_form(gold_form, form, time.monotonic() + SECONDS)
        if not _names_agree(gold_form, form):
            return False
        gold, number = bare_gold.number, bare.number
    return _same_in_its_light(gold, number)


def equal(a: str, b: str) -> bool:
    """Whether two answers, of which neither is known to be right, are the same. Symmetric."""
    x, y = read_number(a), read_number(b)
    if x is not None and y is not None:
        return x.value == y.value
    return _same_in_time(read_answer(a), read_answer(b))


def _same_in_time(a: Form, b: Form) -> bool:
    try:
        return same_form(a, b, time.monotonic() + SECONDS)
    except CutOff:
        return False


def same_form(a: Form, b: Form, deadline: float) -> bool:
    """Whether two parsed answers are the same.

    Raises:
        CutOff: undecided at the ``deadline`` (in seconds of ``time.monotonic``).
    """
    if a == b:
        return True
    if isinstance(a, Named) and isinstance(b, Named):
        if a.name == b.name:
            return same_form(a.value, b.value, deadline)
        return _same_relation(_as_relation(a), _as_relation(b), deadline)
    if isinstance(a, Relation) or isinstance(b, Relation):
        return _same_relation(_as_relation(a), _as_relation(b), deadline)
    if isinstance(a, Named) or isinstance(b, Named):
        return same_form(_without_name(a), _without_name(b), deadline)
    if isinstance(a, Number) and isinstance(b, Number):
        return a.number.value == b.number.value
    if isinstance(a, Group) and isinstance(b, Group):
        if a.brackets != b.brackets:
            return False
        compare = _same_in_any_order if a.brackets == "{}" else _same_in_order
        return compare(a.parts, b.parts, deadline)
    if isinstance(a, Union) and isinstance(b, Union):
        return _same_in_any_order(a.parts, b.parts, deadline)
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return len(a.rows) == len(b.rows) and all(
            _same_in_order(row, other, deadline) for row, other in zip(a.rows, b.rows, strict=True)
        )
    x, y = _formula(a), _formula(b)
    if x is None or y is None or (isinstance(a, Words) and isinstance(b, Words)):
        return False
    return same_formula("formula", (x,), (y,), deadline)


def _same_in_its_light(gold: WrittenNumber, given: WrittenNumber) -> bool:
    if gold.value == given.value:
        return True
    if gold.percent == given.percent:
        return False
    if given.percent:
        return gold.value == 100 * given.value
    return 100 * gold.value == given.value


def _same_in_order(a: Sequence[Form], b: Sequence[Form], deadline: float) -> bool:
    return len(a) == len(b) and all(same_form(x, y, deadline) for x, y in zip(a, b, strict=True))


def _same_in_any_order(a: Sequence[Form], b: Sequence[Form], deadline: float) -> bool:
    if len(a) != len(b):
        return False
    left = list(b)
    unmatched = []
    for part in a:  # first the parts that are spelled alike, which costs nothing
        if part in left:
            left.remove(part)
        else:
            unmatched.append(part)
    for part in unmatched:
        for number, other in enumerate(left):
            if same_form(part, other, deadline):
                del left[number]
                break
        else:
            return False
    return True


def _without_name(form: Form) -> Form:
    return form.value if isinstance(form, Named) else form


def _names_agree(a: Form, b: Form) -> bool:
    return not (isinstance(a, Named) and isinstance(b, Named)) or a.name == b.name


def _formula(form: Form) -> str | None:
    """A number, formula or short name as LaTeX; None for other forms."""
    if isinstance(form, Number):
        return canonical(form.number.value)
    if isinstance(form, Formula):
        return form.text
    if isinstance(form, Words) and len(form.text) <= 3 and form.text.isascii():
        return form.text if form.text.isalpha() else None
    return None


def _as_relation(form: Form) -> Relation | None:
    """A ``Relation``, or a ``Named`` (``x = 15``) as one; None for other forms."""
    if isinstance(form, Relation):
        return form
    value = _formula(form.value) if isinstance(form, Named) else None
    return Relation("=", form.name, value) if isinstance(form, Named) and value else None


def _same_relation(a: Relation | None, b: Relation | None, deadline: float) -> bool:
    if a is None or b is None or a.operator != b.operator:
        return False
    return same_formula(a.operator, (a.left, a.right), (b.left, b.right), deadline)
