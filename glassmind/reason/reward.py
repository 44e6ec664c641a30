"""A reward: a number that says how good a completion is, for learning from and for measuring.

A verifiable reward (Lambert et al. 2024, arXiv 2411.15124) compares with the reference answer or
checks the steps; a learned one asks a model. Either is a function of a problem and one completion
alone, so that a group of completions can be scored in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glassmind.reason.method import NAME
from glassmind.reason.needs import Need
from glassmind.records import Completion, Problem

Score = Callable[[Problem, Completion], float]
"""The reward of one completion of one problem; a finite number."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward, with what tables and commands say about it.

    ``name`` is what commands and files call it, ``title`` what people read, ``explanation`` one
    sentence that says what it gives. ``needs`` may hold ``"verifier"``: the completions then come
    with its scores.
    """

    name: str
    title: str
    explanation: str
    score: Score
    needs: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a reward's name has lower-case words with hyphens: {self.name!r}")
