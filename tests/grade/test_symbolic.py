"""The worker that compares formulas: its limits, its memory, its absence."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from glassmind.grade import symbolic
from glassmind.grade.equality import equal, grade
from glassmind.grade.symbolic import CutOff, comparisons, same_formula

SLOW = r"\sum_{n=1}^{100000000} \sin(n^2)"


def same(a: str, b: str, seconds: float = 30.0) -> bool:
    return same_formula("formula", (a,), (b,), time.monotonic() + seconds)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "_verdicts", type(symbolic._verdicts)())


@pytest.mark.usefixtures("forgetful")
def test_a_slow_formula_is_cut_off_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert same("2x", "x+x")
    monkeypatch.setattr(symbolic, "SECONDS", 1.0)
    before = comparisons()
    with pytest.raises(CutOff):
        same(SLOW, "x")
    with pytest.raises(CutOff):  # remembered
        same("x", SLOW)
    assert not grade(SLOW, "x^2-x")
    counted = comparisons() - before
    assert (counted.asked, counted.cut_off) == (2, 2)
    monkeypatch.setattr(symbolic, "SECONDS", 30.0)
    assert same("3x", "x+x+x")  # another worker has taken over


@pytest.mark.usefixtures("forgetful")
def test_verdicts_are_remembered_in_either_order() -> None:
    assert same("4x", "2x+2x")
    before = comparisons()
    assert same("2x+2x", "4x")
    assert comparisons() == before


@pytest.mark.usefixtures("forgetful")
def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "_REMEMBERED", 2)
    for number in range(4):
        assert not same(f"{number}x", "9y")
    assert len(symbolic._verdicts) == 2


@pytest.mark.usefixtures("forgetful")
def test_threads_may_ask_at_once() -> None:
    pairs = [(f"{n}x+{n}x", f"{2 * n}x") for n in range(2, 10)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda pair: same(*pair), pairs))


@pytest.mark.parametrize(
    ("a", "b"),
    [("x+", "x"), ("2104", "x("), ("9^9^9^9", "9^9"), (r"\frac{1}{0}", "1"), ("1000000!", "2"),
     (r"\infty", r"-\infty"), ("x", "y"), (r"\sqrt{x^2}", "x"), ("f(x)", "g(x)")],
)  # fmt: skip
def test_what_is_not_the_same(a: str, b: str) -> None:
    assert not same(a, b)
    assert not same(b, a)


def test_relations() -> None:
    soon = time.monotonic() + 30
    assert same_formula("=", ("x+y", "1"), ("2", "2x+2y"), soon)
    assert not same_formula("=", ("x+y", "1"), ("x+y", "2"), soon)
    assert same_formula("<", ("x", "y"), ("3x", "3y"), soon)
    assert not same_formula("<", ("x", "y"), ("-x", "-y"), soon)


@pytest.mark.usefixtures("forgetful")
def test_without_the_extra_formulas_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "_available", None)
    monkeypatch.setattr(symbolic.importlib.util, "find_spec", lambda name: None)
    before = comparisons()
    with pytest.warns(UserWarning, match=r"glassmind\[math\]"):
        assert not equal("2x", "x+x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert equal("2x + 1", "2x+1")
        assert equal(r"\left(\frac12, 3\right)", "(0.5, 3)")
        assert not equal("3x", "x+2x")
    assert (comparisons() - before).as_text == 2
