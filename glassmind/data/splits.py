"""Which split a problem belongs to: training, validation or test.

A generated problem's *key* is a hash of its abstract content (family, events, numbers), without
names, nouns or wording. The key alone decides the split, so a skeleton seen in training can never
occur in validation or test in other words: the splits are disjoint by construction, and
``check_disjoint`` verifies it for any two lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from glassmind.errors import UserError
from glassmind.records import Problem

Row = TypeVar("Row")
Split = Literal["train", "validation", "test", "longer", "reworded"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test", "longer", "reworded")

# residues of the key modulo 100; the three test slices share the test side
_SIDES: dict[Split, tuple[int, int]] = {
    "train": (0, 90),
    "validation": (90, 95),
    "test": (95, 100),
    "longer": (95, 100),
    "reworded": (95, 100),
}


def content_key(content: str) -> str:
    """A stable 64-bit hash of a problem's abstract content, as 16 hexadecimal digits."""
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def deal(
    rows: Iterable[Row], text: Callable[[Row], str], seed: int, *, validation: float, test: float
) -> tuple[list[Row], list[Row], list[Row]]:
    """Training, validation and test rows, split by a hash of the seed and each row's ``text``.

    The fractions are expected sizes. Texts that differ only in case or white space stay together,
    and adding a row moves none of the others.
    """
    hands: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for row in rows:
        words = " ".join(text(row).casefold().split())
        place = int(content_key(f"{seed} {words}"), 16) / 2**64
        hands[2 if place < test else 1 if place < test + validation else 0].append(row)
    return hands


def residue(key: str) -> int:
    """The key modulo 100, which decides a problem's split."""
    return int(key, 16) % 100


def side(split: Split) -> tuple[int, int]:
    """Half-open range of residues that ``split`` draws from."""
    return _SIDES[split]


def check_disjoint(first: Iterable[Problem], second: Iterable[Problem]) -> None:
    """Raise ``UserError`` naming the offender if the two lists share a key or a question."""
    keys: dict[str, str] = {}
    questions: dict[str, str] = {}
    for problem in first:
        questions[problem.question] = problem.id
        if problem.key:
            keys[problem.key] = problem.id
    for problem in second:
        known = questions.get(problem.question) or keys.get(problem.key)
        if known is not None:
            raise UserError(
                f"problem {problem.id!r} repeats {known!r} of the other split; "
                "training and test must not share a problem"
            )
