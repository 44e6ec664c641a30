"""Spellings of one number are equal, everything else is not; hostile text costs nothing."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glassmind.grade.numbers import MAX_LENGTH, canonical, parse_number, same_number

READ = {
    "18": Fraction(18),
    "18.00": Fraction(18),
    "18.": Fraction(18),
    " 18\n": Fraction(18),
    "+7": Fraction(7),
    "$18": Fraction(18),
    "\\$18": Fraction(18),
    "$18$": Fraction(18),
    "€5": Fraction(5),
    "5 €": Fraction(5),
    "1,800": Fraction(1800),
    "1{,}800": Fraction(1800),
    "1,234,567.5": Fraction(2469135, 2),
    "3/4": Fraction(3, 4),
    "3 / 4": Fraction(3, 4),
    ".75": Fraction(3, 4),
    "75%": Fraction(3, 4),
    "75 \\%": Fraction(3, 4),
    "75 percent": Fraction(3, 4),
    "12.5 per cent": Fraction(1, 8),
    "-3": Fraction(-3),
    "\u22123": Fraction(-3),
    "-$3.50": Fraction(-7, 2),
    "$-3.50": Fraction(-7, 2),
    "1e3": Fraction(1000),
    "1.5E-3": Fraction(3, 2000),
    "1 1/2": Fraction(3, 2),
    "-1 1/2": Fraction(-3, 2),
    "\\frac{3}{4}": Fraction(3, 4),
    "2\\dfrac{1}{2}": Fraction(5, 2),
    "18 dollars": Fraction(18),
    "18 dollars per week": Fraction(18),
    "60 km/h": Fraction(60),
    "$5/hour": Fraction(5),
    "12 cm²": Fraction(12),
    "3 m": Fraction(3),
    "25 cents": Fraction(25),
    "3 times": Fraction(3),
    "5 million": Fraction(5_000_000),
    "$2.5 million": Fraction(2_500_000),
    "2 dozen eggs": Fraction(24),
    "10 000": Fraction(10_000),
    "1\u202f234\u00a0567.5": Fraction(2469135, 2),
    "12,\\!500": Fraction(12_500),
    "\\frac34": Fraction(3, 4),
    "-\\tfrac{41}2": Fraction(-41, 2),
    "15\\text{ cm}": Fraction(15),
    "15 \\text{ dollars}.": Fraction(15),
    "42 m^2": Fraction(42),
    "42 \\text{ m}^2": Fraction(42),
    "90^\\circ": Fraction(90),
    "90°": Fraction(90),
}

REFUSED = [
    "", " ", ".", "-", "$", "%", "blue", "five", "--5", "-$-5", "18,00", "1,80", "5,000,00",
    "10 0000", "1234 000", "1.2.3", "1/0", "1/2/3", "1 5/2", "5-3", "3*4", "5 + 3", "5x^2", "5m^2",
    "5 apples and 3 pears", "2 and a half", "3 thirds", "5x", "5k", "$5m", "2pi", "5%%", "1e31",
    "1e-31", "1e999999999",
    "٣", "5 million million", "0x10", "1_000", "nan", "inf", "\\boxed{5}", 
    "18 is what I think it is",
]  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_read(text: str) -> None:
    assert parse_number(text) == READ[text]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    assert parse_number(text) is None
    assert not same_number(text, text)


def test_the_promised_equalities() -> None:
    for group in (["18", "18.00", "$18"], ["1800", "1,800"], ["3/4", "0.75", "75%"]):
        for a in group:
            assert {canonical(b) for b in group} == {canonical(a)}
            assert all(same_number(a, b) for b in group)
    assert not same_number("75", "75%")
    assert not same_number("1/3", "0.33")
    assert same_number(Fraction(3, 4), "75%")
    assert same_number(18, "$18.00")
    assert not same_number(18, "none")


def test_canonical_spellings() -> None:
    assert canonical("1,800.0") == "1800"
    assert canonical("6/8") == "0.75"
    assert canonical(Fraction(-1, 8)) == "-0.125"
    assert canonical(".05") == "0.05"
    assert canonical("2/6") == "1/3"
    assert canonical("-0") == "0"
    assert canonical(7) == "7"
    assert canonical("  Dark\n BLUE ") == "dark blue"


@given(st.fractions(max_denominator=10**6).filter(lambda x: abs(x) < 10**12))
def test_canonical_round_trip(number: Fraction) -> None:
    text = canonical(number)
    assert parse_number(text) == number
    assert canonical(text) == text


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_every_spelling_of_a_decimal_is_equal(units: int, places: int) -> None:
    number = Fraction(units, 10**places)
    decimal = f"{abs(units) // 10**places}"
    fraction_digits = f".{abs(units) % 10**places:0{places}d}" if places else ""
    sign = "-" if units < 0 else ""
    with_commas = f"{sign}{int(decimal):,}{fraction_digits}"
    for spelling in (
        f"{sign}{decimal}{fraction_digits}",
        with_commas,
        f"{with_commas}{'' if places else '.'}00",
        f"{sign}${with_commas.removeprefix('-')}",
        f"{with_commas} apples",
        f"{units}/{10**places}",
        f"{units}e-{places}",
        f"{sign}{canonical(abs(number) * 100)}%",
    ):
        assert parse_number(spelling) == number, spelling
        assert canonical(spelling) == canonical(number)


@example("0M")  # 0 m is a number
@given(st.text(max_size=MAX_LENGTH + 5))
def test_any_text_is_safe(text: str) -> None:
    number = parse_number(text)
    once = canonical(text)
    assert canonical(once) == once
    assert (number is not None) == same_number(text, text)


@given(st.text(alphabet="0123456789 .,/$%-eE{}\\facrx", max_size=MAX_LENGTH))
def test_number_like_text_is_bounded(text: str) -> None:
    number = parse_number(text)
    if number is not None:
        assert abs(number.numerator) < 10**110
        assert number.denominator < 10**110
        assert canonical(canonical(text)) == canonical(text)


def test_hostile_text_is_quick() -> None:
    started = time.perf_counter()
    for text in ["9" * 10_000_000, "1," * 32, "1 " * 32, "-" * 64, "1" + " " * 62 + "!", "1a" * 32]:
        assert parse_number(text) is None
    assert time.perf_counter() - started < 0.5


# Where math-verify (Hugging Face's grader for LaTeX mathematics) applies, we agree with it ...
AGREED = [
    ("18", "18.00", True), ("18", "$18", True), ("1800", "1,800", True), ("3/4", "0.75", True),
    ("75%", "0.75", True), ("75%", "3/4", True), ("18", "19", False), ("-3", "-3.0", True),
    ("-3", "3", False), ("1/3", "0.33", False), ("1/2", "2/4", True), ("0", ".0", True),
    ("\\frac{3}{4}", "0.75", True), ("1,234,567", "1234567", True), ("0.1", "1/10", True),
    ("5", "5 dollars", True), ("€5", "5", True), ("7", "7.0001", False), ("100", "100.0", True),
]  # fmt: skip
# ... and these are the deliberate differences: (a, b, ours, theirs)
DIFFERENT = [
    ("75", "75%", False, True),  # it accepts a missing per cent sign, we do not
    ("1/3", "0.333333", False, True),  # it compares six decimals, we are exact
    ("5 million", "5", False, True),  # it drops what stands behind the number
    ("5x", "5", False, True),
    ("1e3", "1000", True, False),  # it reads neither powers of ten nor mixed numbers
    ("1 1/2", "1.5", True, False),
    ("2\\frac{1}{2}", "5/2", True, False),  # bare, outside a LaTeX environment
]


def test_against_math_verify() -> None:
    math_verify = pytest.importorskip("math_verify")

    def theirs(a: str, b: str) -> bool:
        return bool(math_verify.verify(math_verify.parse(a), math_verify.parse(b)))

    for a, b, equal in AGREED:
        assert same_number(a, b) is same_number(b, a) is theirs(a, b) is equal, (a, b)
    for a, b, ours, other in DIFFERENT:
        assert (same_number(a, b), theirs(a, b)) == (ours, other), (a, b)
