"""Which sampled chains are worth learning from: right ones that differ in their equations.

A model that often solves a problem writes nearly the same chain each time, and learning it eight
times teaches little. So of the chains that compute the same equations in the same order, the first
is kept, and of the different ones at most a few (Yuan et al. 2023, arXiv 2308.01825).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.grade.arithmetic import read_equation
from glassmind.records import Completion


@dataclass(frozen=True, slots=True)
class KeptChains:
    """Of the chains of one problem: how many were ``accepted``, how many of those differ from each
    other (``distinct``), and the ones that are ``kept``."""

    accepted: int
    distinct: int
    kept: tuple[Completion, ...]


def equations(completion: Completion) -> tuple[str, ...]:
    """What a chain computes: the equation of each step, without labels and spaces.

    A step without an equation that can be read counts with its text, in one spacing.
    """
    return tuple(_computed(step) for step in completion.steps)


def keep_accepted(
    completions: Sequence[Completion], rewards: Sequence[float], *, threshold: float, most: int
) -> KeptChains:
    """Choose among the chains of one problem, in the order in which they were sampled.

    A chain is accepted if its reward is at least ``threshold`` and it was not cut off at the limit
    on its length, because a model that learns such a chain does not learn to stop.
    """
    pairs = zip(completions, rewards, strict=True)
    accepted = [chain for chain, r in pairs if r >= threshold and chain.finish == "stop"]
    distinct: dict[tuple[str, ...], Completion] = {}
    for chain in accepted:
        distinct.setdefault(equations(chain), chain)
    return KeptChains(len(accepted), len(distinct), tuple(distinct.values())[:most])


def _computed(step: str) -> str:
    equation = read_equation(step)
    if equation is None or not equation.operator:
        return " ".join(step.split())
    return f"{equation.left}{equation.operator}{equation.right}={equation.result}"
