"""Equal answers share a class, named by a spelling that does not depend on who counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.grade import classes
from glassmind.grade.classes import group_answers
from glassmind.grade.equality import grade
from glassmind.grade.numbers import canonical
from glassmind.grade.symbolic import comparisons


def test_numbers_are_named_canonically() -> None:
    assert group_answers(["$18", "18.00", None, "6/8", "0.75", "x = 18", "-3"]) == [
        "18", "18", None, "0.75", "0.75", "18", "-3",
    ]  # fmt: skip


def test_a_percentage_can_still_be_graded() -> None:
    (name, same) = group_answers(["28%", "0.28"])
    assert name == same == "28%"
    assert grade("28", name)
    assert grade("0.28", name)


def test_other_answers_are_named_by_the_first() -> None:
    answers = ["(x-1)(x+1)", "Blue", "x^2-1", r"\text{blue}", "", "red", r"$(x+1)(x-1)$"]
    assert group_answers(answers) == [
        "(x-1)(x+1)", "Blue", "(x-1)(x+1)", "Blue", None, "red", "(x-1)(x+1)",
    ]  # fmt: skip


@pytest.mark.parametrize("answers", [["2", r"\frac{6}{\sqrt{9}}"], [r"\frac{6}{\sqrt{9}}", "2"]])
def test_a_formula_may_be_a_number(answers: list[str]) -> None:
    first, second = group_answers(answers)
    assert first == second == answers[0]


@given(st.lists(st.integers(-20, 20).map(str) | st.none(), max_size=12))
def test_plain_numbers_need_no_process(answers: list[str | None]) -> None:
    before = comparisons()
    assert group_answers(answers) == [a if a is None else canonical(a) for a in answers]
    assert comparisons() == before


def test_a_group_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "SECONDS", -1.0)
    before = comparisons()
    formulas = ["x+x+x+1", "3x+1", "1+3x", "3x+1"]
    assert group_answers(formulas) == ["x+x+x+1", "3x+1", "1+3x", "3x+1"]
    assert (comparisons() - before).cut_off == 3
    monkeypatch.undo()
    assert len(set(group_answers(formulas))) == 1  # and what was cut off so is tried again
