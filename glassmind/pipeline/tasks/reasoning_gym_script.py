"""The side of Reasoning Gym that runs in a process with limits (``glassmind.worker``).

Some of its checkers evaluate a reply as an expression, and a reply comes from a model. So replies
are scored here, where time and memory are limited, and not in the main program.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

reasoning_gym: Any = importlib.import_module("reasoning_gym")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """``{"make": ...}`` gives questions and answers, ``{"score": ..., "at": n}`` a score."""
    if "make" in request:
        try:
            found = _data(request["make"], request["size"], request["seed"])
        except (ValueError, AssertionError) as error:
            known = ", ".join(sorted(reasoning_gym.factory.DATASETS))
            return {"refused": str(error)[:300], "known": known}
        rows = [found[number] for number in range(request["size"])]
        return {"rows": [[str(row["question"]), str(row["answer"])] for row in rows]}
    found = _data(request["of"], request["size"], request["seed"])
    score = found.score_answer(answer=request["score"], entry=found[request["at"]])
    return {"score": float(score)}


@functools.lru_cache(maxsize=4)
def _data(name: str, size: int, seed: int) -> Any:
    return reasoning_gym.create_dataset(name, size=size, seed=seed)
