"""Published sets of problems by name: what ``--problems`` trains on and ``--task`` grades on.

A set is one entry of ``PROBLEM_SETS``, with functions that load the problems for training and those
that are held out. Its files are in a folder of its own inside the one that ``GLASSMIND_DATA``
names; nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassmind.data.problems.competition_math import load_math
from glassmind.data.problems.gsm8k import load_gsm8k
from glassmind.data.problems.word_problem_sets import load_word_problems
from glassmind.data.splits import deal
from glassmind.errors import UserError
from glassmind.records import Problem


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """``about`` is a description in one line; ``held_out`` is never trained on.

    The loaders raise ``UserError`` if a file is missing or has the wrong format.
    """

    about: str
    train: Callable[[], list[Problem]]
    held_out: Callable[[], list[Problem]]


def data_file(name: str) -> Path:
    """A file inside the folder that GLASSMIND_DATA names, for example ``gsm8k/train.jsonl``.

    Raises:
        UserError: the variable is not set, or there is no such file.
    """
    folder = os.environ.get("GLASSMIND_DATA")
    path = Path(folder) / name if folder else None
    if path is None or not path.is_file():
        raise UserError(
            f"there is no file {name}{'' if path is None else f' in {folder}'}; set GLASSMIND_DATA "
            f"to a folder that holds {name}, or name a JSONL file of problems"
        )
    return path


MATH_HELD_OUT = 0.07
"""The share of MATH's training file that is held out: about 500 problems, as in MATH-500."""


def _math(part: int) -> list[Problem]:
    problems = load_math(data_file("math/train.jsonl"))
    return deal(problems, lambda p: p.question, 0, validation=0.0, test=MATH_HELD_OUT)[part]


def _word_problems(folder: str, about: str) -> ProblemSet:
    """A set in ``word-problems/FOLDER/``, with the files ``train.json`` and ``valid.json``."""

    def load(split: str) -> list[Problem]:
        return load_word_problems(data_file(f"word-problems/{folder}/{split}.json"), split)

    return ProblemSet(about, train=lambda: load("train"), held_out=lambda: load("valid"))


PROBLEM_SETS: dict[str, ProblemSet] = {
    "gsm8k": ProblemSet(
        "grade-school word problems with worked equations (Cobbe et al. 2021)",
        train=lambda: load_gsm8k(data_file("gsm8k/train.jsonl"), "train", equations=True),
        held_out=lambda: load_gsm8k(data_file("gsm8k/valid.jsonl"), "valid", equations=True),
    ),
    "math": ProblemSet(
        "competition problems with LaTeX answers (Hendrycks et al. 2021); a fixed 7 % is held out",
        train=lambda: _math(0),
        held_out=lambda: _math(2),
    ),
    "svamp": _word_problems(
        "SVAMP", "one-step problems that a shallow reading gets wrong (Patel et al. 2021)"
    ),
    "asdiv": _word_problems(
        "asdiv-a", "primary-school problems of many kinds, arithmetic part (Miao et al. 2020)"
    ),
    "mawps": _word_problems(
        "mawps-single", "problems with one unknown (Koncel-Kedziorski et al. 2016)"
    ),
}
"""Every set by its name. The task NAME grades on the held-out part, NAME-train on the other."""
