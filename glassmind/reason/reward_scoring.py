"""Scoring completions with rewards that may fail.

A reward is a function that somebody wrote for completions nobody has seen yet. It may raise an
exception at one in a thousand, return NaN or a text, or never return. Each would otherwise end a
run of hours with a traceback, spoil every weight, or stop it silently. Here each becomes one
sentence that names the reward and the problem.

The rewards run in a thread of their own, so that one that does not return can be noticed. Python
cannot end a thread; it is left behind, and ends with the process.
"""

from __future__ import annotations

import math
import numbers
import queue
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem

SECONDS = 30.0
"""The time limit for one reward of one completion."""


def score_all(
    rewards: Sequence[Reward],
    problem: Problem,
    completions: Sequence[Completion],
    *,
    seconds: float = SECONDS,
) -> NDArray[np.float64]:
    """The rewards of completions of one problem, (completions, rewards).

    Raises:
        UserError: a reward raised an exception, returned something other than a finite number, or
            took longer than ``seconds`` for one completion.
    """
    calls = [(reward, completion) for completion in completions for reward in rewards]
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        for reward, completion in calls:
            try:
                found.put(reward.score(problem, completion))
            except Exception as error:
                found.put(error)
                return

    threading.Thread(target=work, name="rewards", daemon=True).start()
    values = []
    for reward, completion in calls:
        where = f"the reward {reward.name} of completion {completion.sample} of {problem.id}"
        try:
            value = found.get(timeout=seconds)
        except queue.Empty:
            raise UserError(
                f"{where} took longer than {seconds:g} seconds: make it faster, or raise "
                "options.reward_seconds"
            ) from None
        values.append(_number(value, where))
    return np.array(values, np.float64).reshape(len(completions), len(rewards))


def _number(value: Any, where: str) -> float:
    if isinstance(value, Exception):
        kind, text = type(value).__name__, " ".join(str(value).split())[:200]
        raise UserError(f"{where} raised {kind}: {text}") from value
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise UserError(f"{where} is {str(value)[:60]!r}, and must be a finite number")
    return float(value)
