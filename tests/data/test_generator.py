"""The generator: right answers, disjoint splits, the same problems for the same seed."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import replace

import pytest

from glassmind.data import SPLITS, ProblemDial, check_disjoint, generate
from glassmind.data.splits import residue
from glassmind.errors import UserError
from glassmind.records import Problem

OPERATE = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if a % b == 0 else None,
}

# General knowledge: a phrase in the question -> a number that a solution may then use. Every number
# of a solution stands in the question in digits or is named there by one of these phrases.
KNOWLEDGE: tuple[tuple[str, int], ...] = (
    ("half", 2),
    ("a third", 3),
    ("a quarter", 4),
    ("a fifth", 5),
    ("50%", 2),
    ("25%", 4),
    ("20%", 5),
    ("10%", 10),
    ("around", 2),
    ("fences in", 2),
    ("square", 4),
    ("same way", 2),
    ("same road", 2),
    ("way back", 2),
    ("whole way", 2),
    ("week", 7),
    ("hours", 60),
)


def verify(problem: Problem, dial: ProblemDial) -> None:
    """Evaluate the steps by the plain formula and hold every claim of the record against it."""
    literals = Counter(map(int, re.findall(r"\d+", problem.question)))
    known = {number for phrase, number in KNOWLEDGE if phrase in problem.question.lower()}
    values: list[int] = []
    for step in problem.steps:
        assert step.checkable
        a, b = map(int, step.operands)
        assert OPERATE[step.operator](a, b) == int(step.value) >= 0
        assert step.text == f"{step.label}: {a}{step.operator}{b}={step.value}"
        assert re.fullmatch(r"[a-z]+( [a-z]+)?", step.label)
        for operand, use in zip((a, b), step.uses, strict=True):
            if use is None:
                assert operand in literals or operand in known, (problem.question, step.text)
                assert operand <= dial.max_number or operand in known
            else:
                assert values[use] == operand
        assert int(step.value) <= dial.max_result
        values.append(int(step.value))
    used = {use for step in problem.steps for use in step.uses if use is not None}
    assert used == set(range(len(problem.steps) - 1))  # no step is for nothing
    assert problem.answer == problem.steps[-1].value


@pytest.mark.parametrize("split", SPLITS)
def test_every_problem_verifies(split: str) -> None:
    for dial in (
        ProblemDial(),
        ProblemDial(1, 6, max_number=500, max_result=9999, distractors=0.5, wordings=0),
        ProblemDial(2, 3, max_number=20, max_result=100),
    ):
        for problem in generate(dial, 500, split=split, seed=5):  # type: ignore[arg-type]
            verify(problem, dial)


def test_same_arguments_same_problems() -> None:
    dial = ProblemDial()
    first = generate(dial, 300, split="train", seed=1)
    assert first == generate(dial, 300, split="train", seed=1)
    assert first[:200] == generate(dial, 200, split="train", seed=1)
    assert first != generate(dial, 300, split="train", seed=2)
    assert len({p.question for p in first}) == len({p.id for p in first}) == 300
    assert first[123].id == "train-000123"


def test_splits_are_disjoint_by_construction() -> None:
    dial = ProblemDial(1, 3)
    made = {split: generate(dial, 1000, split=split, seed=0) for split in SPLITS}
    for split, (low, high) in {
        "train": (0, 90),
        "validation": (90, 95),
        "test": (95, 100),
        "longer": (95, 100),
        "reworded": (95, 100),
    }.items():
        assert all(low <= residue(p.key) < high for p in made[split])  # type: ignore[index]
    for other in ("validation", "test", "longer", "reworded"):
        check_disjoint(made["train"], made[other])
    for other in ("test", "longer", "reworded"):
        check_disjoint(made["validation"], made[other])


def test_check_disjoint_names_the_offender() -> None:
    train = generate(ProblemDial(), 20, split="train", seed=0)
    test = generate(ProblemDial(), 20, split="test", seed=0)
    with pytest.raises(UserError, match="leak"):
        check_disjoint(train, [*test, replace(train[7], id="leak", question="In other words?")])
    with pytest.raises(UserError, match="copy"):
        check_disjoint(train, [*test, replace(train[7], id="copy", key="")])


def test_a_key_ignores_names_and_wording() -> None:
    dial = ProblemDial(1, 1, max_number=10, max_result=20, families=("roads",))
    told: dict[str, set[str]] = {}
    for problem in generate(dial, 150, split="train", seed=0):
        told.setdefault(problem.key, set()).add(problem.question)
    assert max(map(len, told.values())) > 1
    assert len({p.key for p in generate(ProblemDial(), 400, split="train", seed=0)}) > 390


def test_longer_and_operators() -> None:
    longer = generate(ProblemDial(2, 4), 300, split="longer", seed=0)
    assert {len(p.steps) for p in longer} == {5, 6}
    plain = generate(ProblemDial(2, 4), 1000, split="train", seed=0)
    sizes = Counter(len(p.steps) for p in plain)
    assert set(sizes) == {2, 3, 4}
    assert min(sizes.values()) > 250
    operators = Counter(s.operator for p in plain for s in p.steps)
    assert min(operators.values()) > 0.1 * operators.total()
    assert len({p.source for p in plain}) >= 12


def test_wordings() -> None:
    dial = ProblemDial(2, 3, families=("rates",))
    few, all_of_them = (
        {p.question for p in generate(replace(dial, wordings=n), 300, split="train", seed=0)}
        for n in (1, 0)
    )
    assert all(" an hour and runs for " in q for q in few if q.startswith("A machine"))
    assert any(q.startswith("A machine that makes ") for q in all_of_them)
    with pytest.raises(UserError, match="wordings"):
        replace(dial, wordings=-1)


def test_families_and_distractors() -> None:
    dial = ProblemDial(3, 3, distractors=1.0, families=("buying", "ages"))
    problems = generate(dial, 100, split="test", seed=0)
    assert {p.source for p in problems} == {"generated/buying", "generated/ages"}
    useless = r"degrees|birds in a tree|number \d+ bus"
    assert all(re.search(useless, p.question) for p in problems)
    plain = generate(replace(dial, distractors=0.0), 100, split="test", seed=0)
    assert not any(re.search(useless, p.question) for p in plain)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_steps": 0}, "min_steps"),
        ({"min_steps": 4, "max_steps": 3}, "max_steps"),
        ({"max_steps": 9}, "max_steps"),
        ({"max_number": 5}, "max_number"),
        ({"max_result": 5}, "max_result"),
        ({"distractors": 1.5}, "distractors"),
        ({"distractors": float("nan")}, "distractors"),
        ({"families": ("buyin",)}, "buyin"),
    ],
)
def test_bad_dials(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ProblemDial(**wrong)  # type: ignore[arg-type]


def test_a_dial_too_narrow_says_so() -> None:
    dial = ProblemDial(1, 1, max_number=10, max_result=20, families=("fences",))
    with pytest.raises(UserError, match="allows only"):
        generate(dial, 5000, split="test", seed=0)
    with pytest.raises(UserError, match="negative"):
        generate(dial, -1, split="test", seed=0)


def test_speed() -> None:
    start = time.process_time()
    generate(ProblemDial(), 3000, split="train", seed=9)
    # 15,000 a second on a quiet core; the bound leaves room for a slow or busy machine.
    assert 3000 / (time.process_time() - start) > 2000
