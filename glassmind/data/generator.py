"""The problem generator: any number of word problems of a chosen difficulty.

A problem is made in two steps. First a *skeleton* (``stories.skeleton``): events, numbers, steps.
Its key decides whether it belongs to the requested split (``splits``); if not, another is drawn.
Then a *telling* (``stories.telling``): a person, nouns and, for every sentence, one of its
wordings. The steps in story order are the canonical solution; ``grade.derivation`` finds the
others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from glassmind.data.splits import Split, content_key, residue, side
from glassmind.data.stories import FAMILIES
from glassmind.data.stories.skeleton import Skeleton, draw_skeleton
from glassmind.data.stories.telling import tell
from glassmind.errors import UserError
from glassmind.records import Problem

MAX_STEPS = 8
_LONGER_BY = 2
_MAX_ATTEMPTS = 20_000


@dataclass(frozen=True, slots=True)
class ProblemDial:
    """How hard the problems are.

    ``min_steps`` to ``max_steps`` steps, equally often (1 to 8); literals in the question at most
    ``max_number`` and results at most ``max_result`` (general knowledge, such as 60 minutes, may
    exceed the first); ``distractors`` is the probability of a sentence with an irrelevant number;
    ``families`` restricts the stories (empty: all of them, equally often). Of the usual wordings of
    each sentence the first ``wordings`` are used, 0 means all of them (nine to eleven): a richer
    language, which takes longer to learn.
    """

    min_steps: int = 2
    max_steps: int = 4
    max_number: int = 99
    max_result: int = 999
    distractors: float = 0.0
    families: tuple[str, ...] = ()
    # Not in the repr, which is part of the seed: three wordings give the problems they always gave.
    wordings: int = field(default=3, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.min_steps <= self.max_steps <= MAX_STEPS:
            raise UserError(
                f"min_steps {self.min_steps} and max_steps {self.max_steps} must satisfy "
                f"1 <= min_steps <= max_steps <= {MAX_STEPS}"
            )
        if not 10 <= self.max_number <= 999_999:
            raise UserError(f"max_number {self.max_number} must be between 10 and 999999")
        if not 20 <= self.max_result <= 999_999_999:
            raise UserError(f"max_result {self.max_result} must be between 20 and 999999999")
        if not 0.0 <= self.distractors <= 1.0:
            raise UserError(f"distractors {self.distractors} must be a probability from 0 to 1")
        if self.wordings < 0:
            raise UserError(f"wordings {self.wordings} must be at least 0, which means all")
        for name in self.families:
            if name not in FAMILIES:
                raise UserError(f"no story family {name!r}; there are: {', '.join(FAMILIES)}")


def generate(dial: ProblemDial, count: int, *, split: Split, seed: int) -> list[Problem]:
    """``count`` different problems of ``split``; the same arguments give the same problems.

    ``longer`` has stories of one or two steps more than ``dial.max_steps``; ``reworded`` uses
    only wordings that no other split uses. Raises ``UserError`` if the dial does not allow that
    many different problems.
    """
    if count < 0:
        raise UserError(f"the number of problems must not be negative, got {count}")
    rng = random.Random(f"{dial!r} {split} {seed}")
    low, high = dial.min_steps, dial.max_steps
    if split == "longer":
        low, high = high + 1, high + _LONGER_BY
    # Families that still have problems, by number of steps; an exhausted family is dropped.
    names = dial.families or tuple(FAMILIES)
    open_kinds = {n_steps: list(names) for n_steps in range(low, high + 1)}
    problems: list[Problem] = []
    asked: set[str] = set()
    while len(problems) < count:
        if not open_kinds:
            raise UserError(
                f"the dial allows only {len(problems)} different {split} problems, not {count}; "
                f"raise max_number ({dial.max_number}) or max_steps ({dial.max_steps}), or allow "
                "more families"
            )
        sizes = list(open_kinds)
        n_steps = sizes[int(rng.random() * len(sizes))]
        kinds = open_kinds[n_steps]
        name = kinds[int(rng.random() * len(kinds))]
        for skeleton, key in _skeletons_of(rng, name, n_steps, dial, split):
            question, steps = tell(
                rng.random,
                skeleton,
                reworded=split == "reworded",
                distractors=dial.distractors,
                max_number=dial.max_number,
                wordings=dial.wordings,
            )
            if question not in asked:
                asked.add(question)
                problems.append(
                    Problem(
                        id=f"{split}-{len(problems):06d}",
                        question=question,
                        answer=steps[-1].value,
                        steps=steps,
                        source=f"generated/{name}",
                        split=split,
                        key=key,
                    )
                )
                break
        else:
            kinds.remove(name)
            if not kinds:
                del open_kinds[n_steps]
    return problems


def _skeletons_of(
    rng: random.Random, name: str, n_steps: int, dial: ProblemDial, split: Split
) -> Iterator[tuple[Skeleton, str]]:
    """Skeletons on the side of ``split``, with their keys, until the attempts run out."""
    low, high = side(split)
    family = FAMILIES[name]
    for _ in range(_MAX_ATTEMPTS):
        skeleton = draw_skeleton(rng.random, family, n_steps, dial.max_number, dial.max_result)
        if skeleton is not None:
            key = content_key(skeleton.content)
            if low <= residue(key) < high:
                yield skeleton, key
