"""Joined problems: two stories in one question, and both their solutions in one chain.

    Mia has 3 bags of 4 nuts. She eats 2 nuts. How many are left? Ben is 9. ... How old is Eva?
    nuts: 3*4=12 | left: 12-2=10 | eva: 9*2=18 | ...                                       => 18

A model that is trained on problems of two and three steps learns to end after three, whatever the
question says (the decision to end: Newman et al. 2020, arXiv 2010.07174). In joined problems no
story is longer, but chains and questions are, and to end in time a model has to look at what is
still to be done. The answer is that of the last question.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from glassmind.records import Problem, Step

Group = tuple[Problem, ...]
"""Problems that are told and solved one after the other."""


def joined_pairs(problems: Sequence[Problem], share: float, rng: random.Random) -> list[Group]:
    """The problems in their order, each alone or together with the next one.

    ``share`` is the probability with which a problem that is not yet in a pair begins one.
    """
    groups: list[Group] = []
    at = 0
    while at < len(problems):
        size = 2 if share and at + 1 < len(problems) and rng.random() < share else 1
        groups.append(tuple(problems[at : at + size]))
        at += size
    return groups


def told_together(group: Group) -> str:
    """The questions as one."""
    return " ".join(problem.question for problem in group)


def solved_together(solutions: Iterable[Sequence[Step]]) -> tuple[Step, ...]:
    """Solutions one behind the other; every step still knows the steps that it uses."""
    steps: list[Step] = []
    for solution in solutions:
        before = len(steps)
        for step in solution:
            uses = tuple(None if use is None else use + before for use in step.uses)
            steps.append(replace(step, uses=uses))
    return tuple(steps)
