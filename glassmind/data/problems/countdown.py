"""Countdown: numbers and a target; the answer is an expression.

    Using the numbers 3, 7, 25 and 50, write an expression that equals 82. ...      50+25+7

The game of a television show, and since Gandhi et al. (2024, Stream of Search, arXiv 2404.03683) a
test of search by language models: a target has many solutions, none has to be the one it was made
from, and any expression is checked exactly. Each number may be used at most once, with ``+ - * /``
and parentheses.

A problem is made backwards: operations on random numbers give a target, so that every problem has a
solution. Its ``answer`` is the target; ``countdown_holds`` is its grader.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from fractions import Fraction

from glassmind.data.splits import content_key
from glassmind.grade.arithmetic import evaluate, read_operations
from glassmind.records import Problem

_PROMPT = (
    "Using the numbers {numbers}, each at most once, and + - * / and parentheses, write an "
    "expression that equals {target}."
)
_ASKED = re.compile(r"the numbers ([0-9, and]{1,80}), each")
_EXPRESSION = re.compile(r"[0-9(][0-9+\-*/x×÷−–() ]*")
_LONGEST = 20_000  # characters at the end of a reply that are searched
_SMALL, _LARGE = range(1, 11), (25, 50, 75, 100)


def countdown_problems(count: int, seed: int, numbers: int = 4) -> list[Problem]:
    """``count`` different problems with so many numbers; the same arguments give the same ones."""
    rng = random.Random(f"countdown {seed} {numbers}")
    problems: list[Problem] = []
    asked: set[str] = set()
    while len(problems) < count:
        given = [rng.choice(_SMALL if rng.random() < 0.7 else _LARGE) for _ in range(numbers)]
        target = _target(rng, given)
        listed = ", ".join(map(str, given[:-1])) + f" and {given[-1]}"
        question = _PROMPT.format(numbers=listed, target=target)
        if target is None or target in given or question in asked:
            continue
        asked.add(question)
        problems.append(
            Problem(
                id=f"countdown-{len(problems):06d}",
                question=question,
                answer=str(target),
                source="countdown",
                split="test",
                key=content_key(question),
            )
        )
    return problems


def _target(rng: random.Random, given: list[int]) -> int | None:
    """What random operations on all numbers give; ``None`` if it is no number from 10 to 999."""
    pool = list(given)
    while len(pool) > 1:
        a = pool.pop(rng.randrange(len(pool)))
        b = pool.pop(rng.randrange(len(pool)))
        a, b = max(a, b), min(a, b)
        choices = [a + b, a - b, a * b]
        if b and a % b == 0:
            choices.append(a // b)
        pool.append(rng.choice(choices))
    return pool[0] if 10 <= pool[0] <= 999 else None


def countdown_holds(problem: Problem, reply: str) -> bool:
    """Whether the last expression in ``reply`` equals the target and uses only the given numbers.

    ``5*7+3=38`` counts as its left side. Exact; in time linear in the length of the reply.
    """
    expression = last_expression(reply)
    given = _ASKED.search(problem.question)
    if expression is None or given is None:
        return False
    used = _used(expression)
    allowed = Counter(map(int, re.findall(r"\d+", given[1])))
    return (
        used is not None
        and not used - Counter({Fraction(n): m for n, m in allowed.items()})
        and evaluate(expression) == Fraction(problem.answer)
    )


def last_expression(reply: str) -> str | None:
    """The last expression with an operator in a text; ``None`` if there is none."""
    for line in reversed(reply[-_LONGEST:].splitlines()):
        for found in reversed(list(_EXPRESSION.finditer(line))):
            text = found[0].strip()
            if read_operations(text):
                return text
    return None


def _used(expression: str) -> Counter[Fraction] | None:
    """How often each number is written in the expression."""
    operations = read_operations(expression)
    if not operations:
        return None
    return Counter(
        number
        for made in operations
        for number, use in zip(made.operands, made.uses, strict=True)
        if use is None
    )
