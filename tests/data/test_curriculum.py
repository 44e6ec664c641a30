"""Curricula: who is drawn more often, and that a resumed one draws the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from glassmind.data.problems.curriculum import BySolveRate, Curriculum, InTurn, make_curriculum
from glassmind.errors import UserError
from glassmind.records import Problem, Step

Make = Callable[[list[Problem]], Curriculum]


def problems(count: int, n_steps: int = 1, source: str = "story") -> list[Problem]:
    steps = (Step("1+1=2"),) * n_steps
    return [
        Problem(f"{source}-{n_steps}-{n}", f"question {n}?", "2", steps, source)
        for n in range(count)
    ]


@pytest.mark.parametrize("name", ["uniform", "solve-rate"])
def test_a_restored_curriculum_draws_the_same_problems_in_the_same_order(name: str) -> None:
    mine = [*problems(30), *problems(30, 2), *problems(30, 2, "other")]

    def go_on(curriculum: Curriculum, rounds: int) -> list[str]:
        drawn = []
        for _ in range(rounds):
            for problem in curriculum.draw(7):
                drawn.append(problem.id)
                # Any share that depends on the problem alone; 1/3 is no binary fraction.
                curriculum.report(problem, (len(problem.id + problem.question) % 4) / 3)
        return drawn

    whole = make_curriculum(name, mine, seed=5)  # type: ignore[arg-type]
    go_on(whole, 11)
    saved = json.loads(json.dumps(whole.state()))  # as a checkpoint keeps it
    resumed = make_curriculum(name, mine, seed=5)  # type: ignore[arg-type]
    resumed.restore(saved)
    rest = go_on(whole, 12)
    assert go_on(resumed, 12) == rest
    assert resumed.state() == whole.state()
    other = make_curriculum(name, mine, seed=6)  # type: ignore[arg-type]
    other.restore(saved)
    assert go_on(other, 12) != rest  # the seed matters


def test_in_turn_every_problem_comes_once_before_any_comes_again() -> None:
    mine = problems(10)
    curriculum = InTurn(mine, seed=0)
    first, second = curriculum.draw(4) + curriculum.draw(6), curriculum.draw(10)
    assert sorted(p.id for p in first) == sorted(p.id for p in second) == [p.id for p in mine]
    assert first != second


def test_problems_that_are_sometimes_solved_are_drawn_more_often() -> None:
    easy, middling, hard = problems(40), problems(40, 2), problems(40, 3)
    rates = {1: 1.0, 2: 0.5, 3: 0.0}
    curriculum = BySolveRate([*easy, *middling, *hard], seed=1)
    drawn: Counter[int] = Counter()
    for number in range(60):
        for problem in curriculum.draw(12):
            curriculum.report(problem, rates[len(problem.steps)])
            drawn[len(problem.steps)] += number >= 20
    assert drawn[2] > 2 * drawn[1]
    assert drawn[2] > 2 * drawn[3]
    assert min(drawn.values()) > 20  # none is given up


def test_the_estimate_is_the_formula() -> None:
    """One kind of two problems; the first is reported twice, a draw apart."""
    mine = problems(2)
    curriculum = BySolveRate(mine, seed=0, decay=0.5, even=0.2)
    curriculum.draw(1)
    curriculum.report(mine[0], 0.75)
    curriculum.draw(1)
    curriculum.report(mine[0], 0.25)
    solved, seen = 0.75 * 0.5 + 0.25, 1 * 0.5 + 1
    kind = (solved + 0.5) / (seen + 1)
    expected = np.array([(solved + kind) / (seen + 1), kind])
    np.testing.assert_allclose(curriculum.solve_rates(), expected, rtol=1e-12)
    gains = expected * (1 - expected)
    np.testing.assert_allclose(
        curriculum.probabilities(), 0.2 / 2 + 0.8 * gains / gains.sum(), rtol=1e-12
    )


def test_the_first_of_a_draw_has_the_stated_probability() -> None:
    mine = problems(3)
    curriculum = BySolveRate(mine, seed=2, decay=1.0)
    for problem, share in zip(mine, (0.5, 0.9, 1.0), strict=True):
        for _ in range(20):
            curriculum.report(problem, share)
    expected = curriculum.probabilities()
    n = 4000
    counts = Counter(curriculum.draw(1)[0].id for _ in range(n))
    for problem, probability in zip(mine, expected, strict=True):
        error = (probability * (1 - probability) / n) ** 0.5
        assert abs(counts[problem.id] / n - probability) < 4 * error


def test_more_problems_than_there_are_repeat_only_when_all_were_drawn() -> None:
    drawn = BySolveRate(problems(5), seed=0).draw(12)
    counts = Counter(p.id for p in drawn)
    assert len({p.id for p in drawn[:5]}) == len({p.id for p in drawn[5:10]}) == 5
    assert sorted(counts.values()) == [2, 2, 2, 3, 3]


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(UserError, match="no problem to draw from"):
        make_curriculum("uniform", [], 0)
    curriculum = BySolveRate(problems(3), 0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        curriculum.report(problems(3)[0], float("nan"))
    with pytest.raises(ValueError, match="other problems"):
        curriculum.restore(BySolveRate(problems(4), 0).state())
    with pytest.raises(ValueError, match="decay"):
        BySolveRate(problems(3), 0, decay=0)
