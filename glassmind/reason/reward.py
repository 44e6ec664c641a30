"""A reward: a number that says how good a completion is, for learning from and for measuring.

A verifiable reward (Lambert et al. 2024, arXiv 2411.15124) compares with the reference answer or
checks the steps; a learned one asks a model. Both depend only on a problem and one completion, so
that a group of completions can be scored in any order and any number of times.
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
    """A reward, with its description for tables and commands.

    ``name`` is used by commands and files, ``title`` is shown to people, and ``explanation`` is one
    sentence that says what it measures. ``needs`` may contain ``"verifier"`` or
    ``"reward-model"``: the completions then have the scores of that model.
    """

    name: str
    title: str
    explanation: str
    score: Score
    needs: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a reward's name is lower-case words and hyphens, not {self.name!r}")
