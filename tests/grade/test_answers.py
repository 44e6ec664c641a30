"""The answer is found where solutions put it, and graded as a number."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.grade.answers import TAIL_LENGTH, extract_answer
from glassmind.grade.equality import grade


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("48/2 = <<48/2=24>>24 clips in May.\n#### 72", "72"),
        ("#### 1,800\n", "1,800"),
        ("first #### 5\nno, #### 6", "6"),
        ("#### Step 1\nadd\n#### Step 2\nso 5", "5"),
        ("#### 72 dollars", "72"),
        ("so it is \\boxed{72}.", "72"),
        ("\\boxed{1} then \\boxed{\\frac{3}{4}} at last", "\\frac{3}{4}"),
        ("\\boxed{x^{2}}", "x^{2}"),
        ("The answer is 72.", "72"),
        ("the answer: $1,800 dollars, because 3 is 4", "$1,800"),
        ("The answer is 3*12 = 36.", "36"),
        ("The final answer is: **42**. I used 3 steps.", "42"),
        ("The answer is 5. No: the answer is 6. Checked 2 times.", "6"),
        ("The answer is below:\n\n17", "17"),
        ("answer is \\$18", "\\$18"),
        ("The answer is 5 million.", "5 million"),
        ("She has 3, then 4, in all 12.50.", "12.50"),
        ("She pays 20-5=15 dollars", "15"),
        ("20-5", "5"),
        ("it fell to -7", "-7"),
        ("x = -7", "-7"),
        ("about 75% of them", "75%"),
        ("1 1/2 hours", "1 1/2"),
        ("1/2 cup", "1/2"),
        ("1,2,3", "3"),
        ("nothing here", None),
        ("", None),
        ("\\boxed{", None),
        ("\\boxed{5", "5"),
        ("####", None),
        ("#### 28%", "28%"),
        ("so it is $\\boxed 72$.", "72"),
        ("The area is 42 m^2.", "42"),
        ("The area is $42 \\text{ m}^2$.", "42"),
        ("The answer is 10 000.", "10 000"),
        ("#### 1. Compute\n6*7\n#### 2. Result\nThe answer is \\boxed{42}.", "42"),
        ("#### 3 steps follow\n\\boxed{42}", "42"),
        ("The answer is 5 or 6.", "5 or 6"),
        ("It is 5 or 6", "5 or 6"),
        ("#### 5 or 6", "5 or 6"),
        ("$\\boxed{5}$ or $\\boxed{6}$", "5, 6"),
        ("the answer is 5, not 6", "5"),
        ("answer: (B)", "B"),
        ("The answer is B.", "B"),
        ("**Answer:** C", "C"),
        ("The answer is A nice 5", "5"),
        ("The final answer is $\\frac{\\sqrt{2}}{2}$.", "\\frac{\\sqrt{2}}{2}"),
        ("The answer is (3, 4).", "(3, 4)"),
        ("The answer is x^2 + 3.", "x^2 + 3"),
        ("so $x^2 + 3$ it is", "x^2 + 3"),
        ("so $20-5=15$", "15"),
        ("She has **73**", "73"),
        ("x^{10} is x to the 10", "10"),
        ("<think>first try #### 7, no</think>\nThe answer is 42.", "42"),
        ("it was 3</think> so 4", "4"),
        ("<think>a 1</think> 5 <thinking>b 2</thinking> 6", "6"),
        ("\\boxed{7} <think>or \\boxed{8}", "7"),
        ("<think>it must be \\boxed{3}", None),
    ],
)
def test_extract(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


def test_the_deliberate_marks_win() -> None:
    assert extract_answer("\\boxed{1} #### 2\nthe answer is 3, or 4") == "2"
    assert extract_answer("\\boxed{1} the answer is 3, or 4") == "1"
    assert extract_answer("the answer is 3, because 4") == "3"


@given(st.integers(-(10**9), 10**9))
def test_every_way_of_stating_a_number(number: int) -> None:
    for text in (f"2+2\n#### {number}", f"\\boxed{{{number:,}}}", f"1, so the answer is {number}."):
        given_answer = extract_answer(text)
        assert grade(str(number), given_answer), text
        assert not grade(str(number + 1), given_answer)


def test_grade() -> None:
    assert grade("18", "$18.00")
    assert grade("0.75", "3/4")
    assert not grade("18", "19")
    assert not grade("18", None)
    assert not grade("18", "eighteen")
    assert grade("Blue", " blue ")
    assert not grade("blue", "18")


@given(st.text(max_size=300))
def test_any_text_is_safe(text: str) -> None:
    answer = extract_answer(text)
    assert answer is None or answer.strip() == answer != ""


def test_long_text_is_quick_and_only_its_end_counts() -> None:
    assert extract_answer("#### 5 " + "x" * TAIL_LENGTH) is None
    started = time.perf_counter()
    for piece in (
        "1 ",
        "1",
        "1,111",
        "1/",
        "\\boxed{",
        "####",
        "answer is ",
        "answer  ",
        " ",
        "$ ",
    ):
        extract_answer(piece * 20_000)
    assert time.perf_counter() - started < 5
