"""MAWPS, ASDiv and SVAMP files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from glassmind.data.problems.word_problem_sets import formula_steps, load_word_problems
from glassmind.errors import UserError
from glassmind.grade.arithmetic import Operation, read_operations
from glassmind.grade.structure import structure_of

MAWPS = {"iIndex": 1, "sQuestion": " A has 27 and  gives 6. On 7 shelves? ",
         "lEquations": ["X=((27.0-6.0)/7.0)"], "lSolutions": [3.0]}  # fmt: skip
ASDIV = {"Body": "A made $14.", "Question": "How much?", "Formula": "14+16=30",
         "Answer": "30 (dollars)"}  # fmt: skip
SVAMP = {"Body": "There are 8 films", "Question": "How many are left?",
         "Equation": "( 8.0 - 4.0 )", "Answer": 5.0}  # fmt: skip


def test_three_formats(tmp_path: Path) -> None:
    path = tmp_path / "set" / "valid.json"
    path.parent.mkdir()
    path.write_text(json.dumps([MAWPS, ASDIV, SVAMP]))
    mawps, asdiv, svamp = load_word_problems(path)
    assert mawps.question == "A has 27 and gives 6. On 7 shelves?" and mawps.answer == "3"
    assert [step.text for step in mawps.steps] == ["27-6=21", "21/7=3"]
    assert mawps.steps[1].uses == (0, None) and structure_of(mawps) is not None
    assert (asdiv.question, asdiv.answer) == ("A made $14. How much?", "30")
    assert svamp.question == "There are 8 films, How many are left?"
    assert svamp.answer == "5" and svamp.steps == ()  # the formula gives another answer
    assert len({p.id for p in (mawps, asdiv, svamp)}) == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "?"}, "neither sQuestion"),
        ({**ASDIV, "Answer": "two"}, "not a number"),
        ({**MAWPS, "lSolutions": [1, 2]}, "exactly one"),
        ({**MAWPS, "sQuestion": " "}, "empty question"),
        ([1], "not a JSON object"),
    ],
)
def test_other_rows_are_refused(row: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "valid.json"
    path.write_text(json.dumps([row]))
    with pytest.raises(UserError, match=said):
        load_word_problems(path)


def test_operations_of_an_expression() -> None:
    two = Fraction(2)
    assert read_operations("(1+2)*(1+2)") == (
        Operation("+", (Fraction(1), two), (None, None), Fraction(3)),
        Operation("+", (Fraction(1), two), (None, None), Fraction(3)),
        Operation("*", (Fraction(3), Fraction(3)), (0, 1), Fraction(9)),
    )
    assert read_operations("7") == ()
    for text in ("1+", "-(1)", "2**3", "1/0", "(" * 50 + "1" + ")" * 50, "1+" * 300 + "1", "x=3"):
        assert read_operations(text) is None, text
    assert formula_steps("1+" * 2000 + "1", Fraction(2001)) == ()
