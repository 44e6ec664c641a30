"""Equal answers are equal in every notation, different ones in none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.grade.answers import extract_answer
from glassmind.grade.equality import equal, grade

# Spellings of one answer; whatever stands in different rows is different.
SAME = [
    [r"\frac{1}{2}", r"\frac12", r"\dfrac 12", "1/2", "0.5", r"50\%", "x = 1/2", r"\tfrac{1}{2}"],
    ["15", r"15\text{ cm}", r"15 \text{ euros}", "x = 15", r"$15$", r"\(15\)", "**15**", "3*5=15"],
    ["12500", r"12,\!500", "12{,}500", "12 500", "12,500", r"\$12,\!500", "x = 12,500"],
    [r"2\sqrt{3}", r"\sqrt{12}", "2sqrt(3)", "2√3", r"2 \sqrt3 \text{ cm}", r"\frac{6}{\sqrt{3}}"],
    ["x^2-1", "(x-1)(x+1)", "-1+x^{2}", "x**2 - 1", "(x+1)*(x-1)"],
    ["(1,2)", r"\left( 1, 2 \right)", "( 1 , 2.0 )"],
    ["[1,2]", r"\left[1,\, 2\right]", r"1 \le x \le 2", r"x \in [1,2]", r"2 \geq x \geq 1"],
    ["(1,2]", r"1 < x \leq 2"],
    ["(2,1)"],
    [r"\{1,2\}", "2, 1", "1 or 2", r"1 \text{ and } 2", "{1, 2}", "x=1, x=2"],
    [r"(3,\infty)", "x > 3", "3 < x", "(3, inf)", r"\left(3,\infty\right)"],
    [r"[3,\infty)", r"x \ge 3"],
    [r"(-\infty,1) \cup (2,\infty)", r"(2,\infty)\cup(-\infty, 1.0)"],
    [r"\begin{pmatrix} 1 & 2 \\ 3 & \frac12 \end{pmatrix}",
     r"\begin{bmatrix}1&2\\3&0.5\end{bmatrix}"],
    [r"\begin{pmatrix} 1 & 3 \\ 2 & \frac12 \end{pmatrix}"],
    ["2x - y = 3", "4x-2y-6=0", "y = 2x-3", "2x-3"],
    [r"3 \pm \sqrt{2}", r"3-\sqrt{2}, 3+\sqrt{2}"],
    [r"\text{Monday}", "Monday", "monday.", r"\mbox{Monday}"],
    ["B", "(B)", "B.", r"\text{(B)}", "B) 12", "(B) twelve"],
    [r"\text{A,E}", "E, A", r"\text{E and A}"],
    ["2104_5", "2104_{5}"],
    ["2104_6"],
    ["5-12i", "-12i + 5"],
    [r"\pi", "π", "pi"],
    ["3.14159265"],
    ["x < y", "y > x", "2x < 2y"],
    ["x > y"],
    ["|x|"],
    ["x"],
    ["odd"],
    ["5 million", "5,000,000"],
    ["5x"],
    ["5"],
]  # fmt: skip
LOOSE = [({"2x-3", "2x - y = 3"}), ({"2x-3", "4x-2y-6=0"})]  # the same only through y = 2x-3


@pytest.mark.parametrize("row", SAME, ids=lambda row: row[0])
def test_spellings_of_one_answer(row: list[str]) -> None:
    for a in row:
        for b in row:
            if {a, b} not in LOOSE:
                assert equal(a, b), (a, b)
                assert grade(a, b), (a, b)


def test_different_answers() -> None:
    for number, row in enumerate(SAME):
        for other in SAME[number + 1 :]:
            assert not equal(row[0], other[0]), (row[0], other[0])
            assert not equal(other[-1], row[-1]), (row[-1], other[-1])
            assert not grade(row[0], other[0]), (row[0], other[0])


def test_percent_in_the_light_of_the_right_answer() -> None:
    for gold, given_answer, right in [
        ("28", "28%", True), ("28", r"28\%", True), ("0.28", "28%", True), ("28%", "28 %", True),
        ("28%", "0.28", True), (r"28\%", "28", True), ("28%", "2800%", False),
        ("28%", "0.28%", False), ("28", "0.28", False), ("28", "0.28%", False),
        ("x = 28", "28%", True), ("28", r"x = 28\%", True), (r"\text{three}", "3%", False),
    ]:  # fmt: skip
        assert grade(gold, given_answer) is right, (gold, given_answer)
    assert equal("28%", "0.28")
    assert not equal("28%", "28")


def test_names_matter_where_both_have_one() -> None:
    assert grade("x = 1", "1")
    assert grade("1", "y = 1")
    assert not grade("x = 1", "y = 1")
    assert not equal("x=1, y=2", "x=2, y=1")
    assert equal("x=1, y=2", "y=2, x=1")


def test_nothing_is_rounded() -> None:
    for a, b in [(r"\frac13", "0.333333"), (r"\sqrt2", "1.41421356"), ("2^{2008}-2", "2^{2008}"),
                 ("0.33x", r"\frac13 x"), ("0.30000001", "0.3")]:  # fmt: skip
        assert not equal(a, b)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("1", r"\boxed{9^9^9^9}"),
        ("1", r"\boxed{9^{9^{9^{9}}}}"),
        ("1", r"\boxed{\frac{1}{0}}"),
        ("0", r"\boxed{\frac{0}{0}}"),
        ("5", "{" * 100_000),
        ("5", r"\boxed{" + "{" * 100_000),
        ("5", r"\boxed{٥}"),
        ("5", "The answer is ٥."),
        ("5", "The answer is 5 or 6."),
        ("6", "The answer is 5 or 6."),
        ("6", r"\boxed{5} or $\boxed{6}$"),
        ("x", r"\boxed{" + r"\sqrt{" * 120 + "x" + "}" * 121),
        ("x+1", r"\boxed{" + "(" * 90 + "x" + ")" * 90 + "}"),
    ],
    ids=range(13),
)
def test_hostile_answers_are_refused(gold: str, text: str) -> None:
    assert not grade(gold, extract_answer(text))


PIECES = st.sampled_from(
    [*"0123456789xyABi,;.()[]{}$%=<>+-*/^_|& '", "\\", "\\frac", "\\sqrt", "\\left", "\\right",
     "\\{", "\\}", "\\text{", "\\cup", "\\pm", "\\pi", "\\infty", "\\%", "\\!", "\\\\", "\\le",
     "\\begin{pmatrix}", "\\end{pmatrix}", "\\boxed{", " or ", " and ", "cm", "^\\circ", "**"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_every_answer_is_itself(text: str) -> None:
    assert equal(text, text)
    assert grade(text, text)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("".join))
def test_equality_is_symmetric(a: str, b: str) -> None:
    assert equal(a, b) is equal(b, a)


# Where Math-Verify is the judge of both, we agree with it ...
AGREED = [
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True), ("x^2-1", "(x-1)(x+1)", True),
    (r"\{1,2\}", r"\{2,1\}", True), (r"[0,1]", r"[0,1]", True), (r"[0,1]", r"(0,1)", False),
    ("2x+1", "2x+2", False), (r"\pi", r"2\pi", False), (r"15\text{ cm}", "15", True),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2.0\end{pmatrix}", True),
    (r"(1,2)\cup(3,4)", r"(3,4)\cup(1,2)", True), ("x=5", "5", True), ("x=5", "x=6", False),
]  # fmt: skip
# ... and these are the differences: (gold, answer, ours, theirs)
DIFFERENT = [
    (r"\sqrt{2}", "1.414214", False, True),  # it compares six decimals
    ("(1,2)", r"\{1,2\}", False, True),  # a pair is not a set
    ("0.28", r"28\%", True, True),
    ("odd", r"\text{dod}", False, False),
]


def test_against_math_verify() -> None:
    math_verify = pytest.importorskip("math_verify")

    def theirs(a: str, b: str) -> bool:
        return bool(math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$")))

    for a, b, same in AGREED:
        assert grade(a, b) is theirs(a, b) is same, (a, b)
    for a, b, ours, other in DIFFERENT:
        assert (grade(a, b), theirs(a, b)) == (ours, other), (a, b)


def test_an_answer_in_bold_is_read() -> None:
    """Math-Verify refuses it (Math-Verify#76)."""
    assert grade("73", extract_answer("**73**"))
    assert grade("73", extract_answer("The answer is **73**."))


def test_percent_signs_of_gsm8k(data_folder: Path) -> None:
    """Where a solution writes the right answer with %, a model may write it so too."""
    checked = 0
    with (data_folder / "gsm8k" / "train.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            solution, _, gold = json.loads(line)["answer"].rpartition("#### ")
            if f"{gold}%" in solution:
                assert grade(gold, extract_answer(f"#### {gold}%"))
                assert grade(gold, extract_answer(f"It is \\boxed{{{gold}\\%}}."))
                checked += 1
    assert checked > 80


def test_right_answers_of_math_are_themselves(data_folder: Path) -> None:
    """In a box, after a thought in bold, and with other brackets and fractions."""
    with (data_folder / "math" / "train.jsonl").open(encoding="utf-8") as lines:
        golds = {extract_answer(json.loads(line)["solution"]) or "" for line in lines}
    latex = sorted(gold for gold in golds if not gold.startswith("$"))
    for gold in random.Random(0).sample(latex, 300):
        assert grade(gold, extract_answer(f"So it is \\boxed{{{gold}}}.")), gold
        assert grade(gold, extract_answer(f"<think>\\boxed{{0}}</think>**Answer:** ${gold}$")), gold
        other = gold.replace("\\left", "").replace("\\right", "").replace("\\frac", "\\dfrac")
        assert grade(gold, extract_answer(f"\\[\\boxed{{{other}}}\\]")), gold


@pytest.mark.parametrize(
    ("gold", "given", "right"),
    [
        ("24", "2=24", False),
        ("24", "3*7=24", False),
        ("24", "3*8 = 24", True),
        ("24", "12+12=3*8=24", True),
        ("24", "12+13=3*8=24", False),
        ("24", "n = 24", True),
    ],
)
def test_a_false_equation_states_nothing(gold: str, given: str, right: bool) -> None:
    assert grade(gold, given) is right
