"""The chains of one problem as arrays: what a verifier gave each, and what is true of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassmind.grade import check_steps, grade
from glassmind.reason.vote import answer_keys
from glassmind.records import Problem, Trace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ChainTable:
    """N judged chains of one problem.

    ``keys`` has the class of each chain's answer, ``None`` for a chain without one; ``right`` says
    whether the answer is right. ``outcome`` is the verifier's score of the whole chain, ``steps``
    its scores of the steps, and ``valid`` the truth of each step: it and all steps before it are
    legal moves (``grade.steps``; empty if the problem's steps cannot be checked).
    """

    keys: tuple[str | None, ...]
    right: Bools
    logprob: Floats
    outcome: Floats
    steps: tuple[tuple[float, ...], ...]
    valid: tuple[tuple[bool, ...], ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def answered(self) -> Bools:
        """Which chains gave an answer."""
        return np.array([key is not None for key in self.keys])


def chain_table(problem: Problem, trace: Trace) -> ChainTable:
    """The table of a trace whose chains were scored.

    Raises:
        ValueError: a chain has no score.
    """
    chains = trace.completions
    if any(chain.score is None for chain in chains):
        raise ValueError(f"the chains of {problem.id} have not been scored")
    keys = answer_keys(chains)
    rights: dict[str | None, bool] = {None: False}
    for key in keys:
        if key not in rights:
            rights[key] = grade(problem.answer, key)
    valid = []
    for chain in chains:
        checks = check_steps(problem, chain.steps)
        known = all(check.valid is not None for check in checks)
        valid.append(tuple(bool(check.valid) for check in checks) if known else ())
    return ChainTable(
        keys=tuple(keys),
        right=np.array([rights[key] for key in keys]),
        logprob=np.array([chain.logprob for chain in chains]),
        outcome=np.array([chain.score or 0.0 for chain in chains]),
        steps=tuple(chain.step_scores for chain in chains),
        valid=tuple(valid),
    )


def chain_tables(problems: Sequence[Problem], traces: Sequence[Trace]) -> list[ChainTable]:
    """A table for every problem."""
    return [chain_table(p, trace) for p, trace in zip(problems, traces, strict=True)]
