"""The same problem, changed so that the right answer is known: does a model still solve it?

A model that has learned a benchmark by heart, or reads it shallowly, falls when the problem is
changed a little. GSM-Symbolic (Mirzadeh et al. 2024, arXiv 2410.05229) draws other numbers and
names for a problem, GSM-Plus (Li et al. 2024, arXiv 2402.19255) inserts distracting sentences, and
the order in which premises are told changes accuracy, too (Chen et al. 2024, arXiv 2402.08939).
There the changes were written by people or by large models. Here they are made by code, from a
problem whose solution is a chain of operations that can be computed again:

    numbers-changed   other numbers and another name; the answer is computed again
    distractor        a sentence with a number that has nothing to do with the question
    question-first    the question stands before the story

A number may be changed only if it is clear where it goes. So each of the solution's numbers must be
the result of an earlier step, or stand in the question exactly once, or not at all (60 minutes, a
"half"; those stay as they are). A problem for which that does not hold is left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

from glassmind.data.splits import content_key
from glassmind.data.stories.words import MEN, WOMEN
from glassmind.grade.numbers import canonical, parse_number
from glassmind.records import Problem, Step

_NUMBER = re.compile(r"(?<![\w.,/-])\d{1,9}(?:,\d{3})*(?:\.\d+)?(?![\w/]|[.,]\d)")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
_TRIES = 60

_DISTRACTORS = (
    "A neighbor has {n} books on a shelf.",
    "The bus that passes by has the number {n}.",
    "There are {n} trees in the park nearby.",
    "The temperature outside is {n} degrees.",
)

_APPLY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def numbers_changed(problem: Problem, rng: random.Random) -> Problem | None:
    """Other numbers of about the same size, and another name if one of ours occurs; ``None`` if the
    solution's numbers cannot be found in the question, or no other numbers fit.

    A result that was a whole number, or not negative, stays so.
    """
    steps = linked_steps(problem)
    if steps is None:
        return None
    literals = _literals(problem, steps)
    if not literals:
        return None
    for _ in range(_TRIES):
        new = {old: _near(old, rng) for old in literals}
        again = _computed(steps, new)
        if again is not None and again[-1].value != problem.answer:
            question = _NUMBER.sub(partial(_respelled, new), problem.question)
            renamed = _renamed(question, rng)
            return replace(
                problem,
                id=f"{problem.id}-numbers",
                question=renamed,
                answer=again[-1].value,
                steps=again,
                key=content_key(renamed),
            )
    return None


def with_distractor(problem: Problem, rng: random.Random) -> Problem | None:
    """A sentence with an irrelevant number before the question; ``None`` if the problem is a single
    sentence."""
    sentences = _SENTENCE_END.split(problem.question)
    if len(sentences) < 2:
        return None
    sentences.insert(len(sentences) - 1, rng.choice(_DISTRACTORS).format(n=rng.randint(3, 90)))
    return _asked(problem, "distractor", " ".join(sentences))


def question_first(problem: Problem, rng: random.Random) -> Problem | None:
    """The last sentence moved to the front; ``None`` if it is no question, or the only sentence."""
    sentences = _SENTENCE_END.split(problem.question)
    if len(sentences) < 2 or not sentences[-1].endswith("?"):
        return None
    return _asked(problem, "question-first", " ".join([sentences[-1], *sentences[:-1]]))


PERTURBATIONS: dict[str, Callable[[Problem, random.Random], Problem | None]] = {
    "numbers-changed": numbers_changed,
    "distractor": with_distractor,
    "question-first": question_first,
}
"""Every perturbation by its name."""


def perturbed(problems: Sequence[Problem], name: str, seed: int) -> list[Problem]:
    """The problems to which the perturbation ``name`` applies, changed. Each problem has random
    numbers of its own, so that leaving out others does not change it."""
    change = PERTURBATIONS[name]
    found = (change(p, random.Random(f"{name} {seed} {p.question}")) for p in problems)
    return [problem for problem in found if problem is not None]


def linked_steps(problem: Problem) -> tuple[Step, ...] | None:
    """The steps with ``uses`` filled in, or ``None`` if the chain cannot be computed again.

    A data set may not say where an operand came from. If it is the result of exactly one earlier
    step and does not stand in the question, it came from there. Then every number of the question
    must be used, because one that seems unused may have been used in the solver's head.
    """
    if not problem.steps or problem.steps[-1].value != problem.answer:
        return None
    asked = {canonical(n) for n in _numbers(problem.question)}
    linked: list[Step] = []
    for step in problem.steps:
        if not step.checkable:
            return None
        uses = step.uses
        if len(uses) != len(step.operands):
            found = []
            for operand in step.operands:
                came = [i for i, made in enumerate(linked) if made.value == canonical(operand)]
                if len(came) > 1 or (came and canonical(operand) in asked):
                    return None
                found.append(came[0] if came else None)
            uses = tuple(found)
        linked.append(replace(step, uses=uses))
    used = {use for step in linked for use in step.uses}
    if any(number not in used for number in range(len(linked) - 1)):
        return None
    told = all(len(step.uses) == len(step.operands) for step in problem.steps)
    if not told and not asked <= {canonical(o) for step in linked for o in step.operands}:
        return None
    return None if _computed(linked, {}) is None else tuple(linked)


def _numbers(text: str) -> list[Fraction]:
    found = (parse_number(match[0]) for match in _NUMBER.finditer(text))
    return [number for number in found if number is not None]


def _literals(problem: Problem, steps: Sequence[Step]) -> list[Fraction]:
    """The numbers of the question that the solution uses; empty if one stands there twice."""
    asked = _numbers(problem.question)
    literals = dict.fromkeys(
        number
        for step in steps
        for operand, use in zip(step.operands, step.uses, strict=True)
        if use is None and (number := parse_number(operand)) is not None
    )
    found = [number for number in literals if number in asked]
    return [] if any(asked.count(number) > 1 for number in found) else found


def _near(number: Fraction, rng: random.Random) -> Fraction:
    """A number from half of it to double, with as many decimals."""
    scale = 1
    while scale < 1000 and (number * scale).denominator != 1:
        scale *= 10
    units = round(number * scale)
    low, high = max(2, units // 2), max(5, 2 * units)
    return Fraction(rng.randint(low, high), scale)


def _computed(steps: Sequence[Step], new: dict[Fraction, Fraction]) -> tuple[Step, ...] | None:
    """The chain with other numbers; ``None`` if a result became negative or a fraction that was
    none, or if with the old numbers it is another than it says."""
    made: list[Fraction] = []
    again = []
    for step in steps:
        operands = []
        for operand, use in zip(step.operands, step.uses, strict=True):
            number = parse_number(operand)
            if number is None:
                return None
            operands.append(made[use] if use is not None else new.get(number, number))
        if step.operator == "/" and not operands[1]:
            return None
        value = _APPLY[step.operator](*operands)
        was = parse_number(step.value)
        if was is None or value < 0 or (was.denominator == 1 and value.denominator != 1):
            return None
        if not new and value != was:
            return None
        made.append(value)
        left, right = map(canonical, operands)
        label = f"{step.label}: " if step.label else ""
        again.append(
            replace(
                step,
                text=f"{label}{left}{step.operator}{right}={canonical(value)}",
                operands=(left, right),
                value=canonical(value),
            )
        )
    return tuple(again)


def _respelled(new: dict[Fraction, Fraction], found: re.Match[str]) -> str:
    """The number to write instead of ``found``, in the same spelling."""
    written = found[0]
    number = parse_number(written)
    if number is None or number not in new:
        return written
    changed = new[number]
    if "." in written:
        return f"{float(changed):.{len(written.rpartition('.')[2])}f}"
    return f"{changed.numerator:,}" if "," in written else canonical(changed)


def _renamed(question: str, rng: random.Random) -> str:
    """The first of our names that occurs, replaced by another of the same gender."""
    words = set(re.findall(r"[A-Z][a-z]+", question))
    for names in (WOMEN, MEN):
        present = sorted(words & set(names))
        if present:
            free = [name for name in names if name not in words]
            return re.sub(rf"\b{present[0]}\b", rng.choice(free), question)
    return question


def _asked(problem: Problem, change: str, question: str) -> Problem:
    return replace(
        problem, id=f"{problem.id}-{change}", question=question, key=content_key(question)
    )
