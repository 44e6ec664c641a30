"""Equations of steps in free text, and the numbers that come from nowhere."""

from __future__ import annotations

from fractions import Fraction

import pytest

from glassmind.grade.provenance import Ledger, digits_in, supported, words_in
from glassmind.grade.support import unsupported_numbers
from glassmind.grade.written_steps import split_steps, step_equations


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ("Natalia sold 48/2 = <<48/2=24>>24 clips in May.", [("48/2=24", True), ("48/2=24", True)]),
        (r"So \(1/3 \times 18 = 6\) are taken.", [("1/3 * 18=6", True)]),
        (r"\[ \frac{18}{3} = 7 \]", [("(18/3)=7", False)]),
        ("The rest is 20 - (12 + 4) = 20 - 16 = 4.", [("20 - (12 + 4)=20 - 16", True),
                                                       ("20 - 16=4", True)]),
        ("They pay $3.5 * 4000 = $14,000.", [("$3.5 * 4000=$14,000", True)]),
        ("It is 0.2 * 100 = 20%", [("0.2 * 100=20%", True)]),
        ("10/3 = 3.333", [("10/3=3.333", True)]),
        ("14/6 = 2", [("14/6=2", False)]),
        ("14/6 = 2 after rounding", []),
        (r"\frac{20}{7} = 2\frac{6}{7}", []),
        ("2 * x = 8", []),
        ("10 - 5 = 5x + 5 - 5", []),
        ("no equation", []),
        ("pencils: 3*12=36", [("3*12=36", True)]),
        ("2/10 = .2", [("2/10=.2", True)]),
    ],
)  # fmt: skip
def test_equations_of_free_text(step: str, found: list[tuple[str, bool]]) -> None:
    assert [(e.text, e.holds) for e in step_equations(step)] == found


def test_a_solution_is_cut_into_paragraphs_or_lines() -> None:
    assert split_steps("a\nb\n#### 7") == ["a", "b\n#### 7"]
    assert split_steps("a\nb\n\nc\n\n\nd") == ["a\nb", "c", "d"]
    assert split_steps("one line") == ["one line"]
    assert split_steps("  \n ") == []


def test_numbers_in_digits_and_words() -> None:
    assert digits_in("12 boxes at $1,250.50, and .5 more") == [
        12,
        Fraction("1250.5"),
        Fraction(1, 2),
    ]
    said = words_in("Forty-two dozen, three quarters, twice and five hundred")
    assert {Fraction(n) for n in (42, 12, 2, 500)} | {Fraction(3, 4)} <= said
    assert words_in("no number") == set()


@pytest.mark.parametrize(
    ("value", "yes"), [("0.2", True), ("0.8", True), ("1.2", True), ("120", True), ("21", False)]
)
def test_a_share_supports_its_guises(value: str, yes: bool) -> None:
    assert supported(Fraction(value), [Fraction(20)]) is yes


def test_a_ledger_knows_what_was_used() -> None:
    ledger = Ledger("Mia has 3 boxes of 12 pencils, and twice as many 3s.")
    assert [ledger.use(Fraction(n)) for n in (3, 3, 3, 2, 60, 77)] == [
        "question", "question", "again", "words", "known", "nowhere",
    ]  # fmt: skip
    ledger.make(Fraction(36))
    assert (ledger.unused, ledger.open) == (1, 1)
    assert [ledger.use(Fraction(n)) for n in (36, 36, 12)] == ["result", "again", "question"]
    assert (ledger.unused, ledger.open) == (0, 0)


def test_numbers_from_nowhere() -> None:
    question = "Tom has 14 apples and eats half. He buys 20% more than 45."
    steps = ["14 / 2 = 7", "45 * 1.2 = 54", "There are 17 trees. 17 + 7 = 24", "24 - 13 = 11"]
    found = unsupported_numbers(question, steps)
    assert [[str(number) for _, number in step] for step in found] == [[], [], [], ["13"]]
    assert unsupported_numbers("Let $x^2 = 4$. What is x?", ["17 + 19 = 36"]) == [()]


def test_hostile_text_takes_no_time() -> None:
    for text in (
        "=" * 50_000,
        "1+" * 30_000 + "=3",
        "\\frac{" * 9_000,
        "(" * 40_000 + "=1",
        "<<" * 9000,
    ):
        step_equations(text)
        unsupported_numbers(text, [text])
