"""Preferences whose truth is known, from problems with worked solutions.

    right    the solution is preferred to the same chain with one planted error
    short    the solution is preferred to one that says a step twice

Whether preferences were learned from people can only be judged by other people. Here a program
knows the answer: of *right* pairs, the rejected chain ends with a wrong answer; of *short* pairs
both chains are right, and the preference is one of style. A model that follows a preference of
style may become worse at the task, which these pairs make measurable.

An error is one that models make: a wrong result, another number or another operation in one step,
or an end before the last step. The steps after it go on with the wrong number, so that every other
equation is true, and only reading the chain tells which is the right one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from glassmind.data.preferences.records import Preference
from glassmind.grade import canonical, parse_number, sample_solution
from glassmind.records import Problem, Step

GeneratedPairs = Literal["right", "short"]

_TRIES = 20
_OPERATORS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@dataclass(frozen=True, slots=True)
class Chain:
    """A worked solution: steps and the answer that they lead to."""

    steps: tuple[Step, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class ChainPair:
    """Two chains for one problem, of which ``chosen`` is preferred."""

    problem: Problem
    chosen: Chain
    rejected: Chain


def chain_pairs(problems: Sequence[Problem], kind: GeneratedPairs, seed: int) -> list[ChainPair]:
    """One pair for each problem; the same arguments give the same pairs.

    The chosen chain is a random valid solution (``grade.derivation``). Problems without steps of
    one operation each, of which it is known where each operand came from, are left out; each has
    random numbers of its own, so that leaving out others does not change its pair.
    """
    pairs = []
    for problem in problems:
        rng = random.Random(f"{kind} {seed} {problem.question}")
        if not problem.steps or not all(_linked(step) for step in problem.steps):
            continue
        steps = sample_solution(problem, rng, regroup=0.3, reorder=0.3, swap=0.3)
        if kind == "right":
            rejected = with_error(steps, rng)
        else:
            rejected = Chain(_repeated(steps, rng), problem.answer)
        if rejected is not None:
            pairs.append(ChainPair(problem, Chain(steps, problem.answer), rejected))
    return pairs


def told(pair: ChainPair) -> Preference:
    """The pair as answers in words, one step on each line, for models that chat."""
    chosen, rejected = (
        "\n".join([*(step.text for step in chain.steps), f"The answer is {chain.answer}."])
        for chain in (pair.chosen, pair.rejected)
    )
    prompt = ({"role": "user", "content": pair.problem.question},)
    return Preference(prompt, chosen, rejected, where=pair.problem.id)


def with_error(steps: Sequence[Step], rng: random.Random) -> Chain | None:
    """The chain with one error and its consequences, so that it ends with another answer; ``None``
    if no error was found whose consequences are whole and not negative."""
    right = steps[-1].value
    for _ in range(_TRIES):
        at = rng.randrange(len(steps))
        kind = rng.choice(("result", "operand", "operator", "end"))
        if kind == "end":
            if len(steps) > 1 and steps[-2].value != right:
                return Chain(tuple(steps[:-1]), steps[-2].value)
            continue
        changed = _mistaken(steps, at, kind, rng)
        wrong = None if changed is None else _continued(steps, at, changed)
        if wrong is not None and wrong[-1].value != right:
            return Chain(wrong, wrong[-1].value)
    return None


def _linked(step: Step) -> bool:
    return step.checkable and len(step.uses) == len(step.operands)


def _repeated(steps: Sequence[Step], rng: random.Random) -> tuple[Step, ...]:
    """The chain with one of its steps said twice, as one may do to be sure."""
    at = rng.randrange(len(steps))
    moved = [
        replace(s, uses=tuple(u if u is None or u <= at else u + 1 for u in s.uses))
        for s in steps[at + 1 :]
    ]
    return (*steps[: at + 1], steps[at], *moved)


def _mistaken(
    steps: Sequence[Step], at: int, kind: str, rng: random.Random
) -> tuple[tuple[str, str], str, str] | None:
    """Operands, operator and result of step ``at`` with an error in one of them."""
    step = steps[at]
    left, right = step.operands
    if kind == "result":
        value = _number(step.value)
        off = rng.choice((-10, -2, -1, 1, 2, 10))
        return None if value + off < 0 else ((left, right), step.operator, canonical(value + off))
    if kind == "operator":
        operator = rng.choice([o for o in _OPERATORS if o != step.operator])
    else:
        operator = step.operator
        others = {o for s in steps for o in s.operands} | {s.value for s in steps[:at]}
        found = sorted(others - {left, right})
        if not found:
            return None
        left, right = (
            (rng.choice(found), right) if rng.random() < 0.5 else (left, rng.choice(found))
        )
    result = _applied(operator, _number(left), _number(right))
    return None if result is None else ((left, right), operator, canonical(result))


def _continued(
    steps: Sequence[Step], at: int, changed: tuple[tuple[str, str], str, str]
) -> tuple[Step, ...] | None:
    """The chain with step ``at`` changed, and the later steps computed again from its result."""
    made = list(steps[:at])
    operands, operator, value = changed
    made.append(_written(steps[at], operands, operator, value))
    for step in steps[at + 1 :]:
        left, right = (
            operand if use is None else made[use].value
            for operand, use in zip(step.operands, step.uses, strict=True)
        )
        result = _applied(step.operator, _number(left), _number(right))
        if result is None:
            return None
        made.append(_written(step, (left, right), step.operator, canonical(result)))
    return tuple(made)


def _written(step: Step, operands: tuple[str, str], operator: str, value: str) -> Step:
    label = f"{step.label}: " if step.label else ""
    return replace(
        step,
        text=f"{label}{operands[0]}{operator}{operands[1]}={value}",
        operator=operator,
        operands=operands,
        value=value,
    )


def _applied(operator: str, a: Fraction, b: Fraction) -> Fraction | None:
    """The result; ``None`` if it is negative, not whole, or a division by zero."""
    if operator == "/" and not b:
        return None
    result = _OPERATORS[operator](a, b)
    return result if result >= 0 and result.denominator == 1 else None


def _number(text: str) -> Fraction:
    value = parse_number(text)
    assert value is not None, text  # a checkable step has numbers
    return value
