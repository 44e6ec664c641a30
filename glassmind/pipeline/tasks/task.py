"""What a task is: questions, and how the answers to them are judged.

There are three kinds, by what is asked of the model:

    AnswerTask   it answers, by every method; a grader says whether the answer is right
    ChoiceTask   it writes nothing: the likeliest of some given continuations is its choice
    TextTask     it writes nothing: how probable is a text?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassmind.data.problems.column_mapping import FOUND, ProblemColumns
from glassmind.data.rows.bad_rows import OnBadRow, silence
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.method import Solution
    from glassmind.runs.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a task: the ``argument`` of ``NAME:ARGUMENT`` (a file, another task), at
    most ``limit`` problems (0: all), of ``recipe`` where they are generated. ``columns`` and
    ``on_bad_row`` are for the user's file, ``say`` is told which rows of it were left out."""

    recipe: Recipe
    argument: str = ""
    limit: int = 0
    columns: ProblemColumns = FOUND
    on_bad_row: OnBadRow = "stop"
    say: Callable[[str], object] = silence


@dataclass(frozen=True, slots=True)
class Questions:
    """The problems of an ``AnswerTask``. ``right`` says whether a solution is right; ``None``
    compares its answer with the problem's by value."""

    problems: Sequence[Problem]
    right: Callable[[Problem, Solution], bool] | None = None


@dataclass(frozen=True, slots=True)
class AnswerTask:
    """A task whose questions are answered.

    ``argument`` is what has to follow the name, as in ``math-500:FILE``; empty if nothing does.
    ``prompt`` is the name of the prompt that a model from elsewhere gets unless another one is
    chosen; empty is the bare question. ``examples`` loads problems with worked solutions to be
    shown before a question, none of which is asked; ``None`` takes GSM8K's. ``abstention`` says
    that some questions cannot be answered, and that recognising them is measured.
    """

    name: str
    about: str
    load: Callable[[Wanted], Questions]
    argument: str = ""
    prompt: str = ""
    examples: Callable[[Wanted, int], Sequence[Problem]] | None = None
    abstention: bool = False


@dataclass(frozen=True, slots=True)
class ChoiceItem:
    """A text and the ``continuations`` among which a model chooses; ``right`` is the number of the
    right one."""

    id: str
    text: str
    continuations: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class ChoiceTask:
    """A task of multiple choice, answered by log-likelihood. ``prompt`` names the shipped prompt
    that the questions are put in."""

    name: str
    about: str
    load: Callable[[Wanted], Sequence[ChoiceItem]]
    argument: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class TextItem:
    """A document: the ``text`` that the model reads, and the text whose words and bytes are
    ``counted``, usually the same."""

    text: str
    counted: str


@dataclass(frozen=True, slots=True)
class TextTask:
    """A task that measures the probability of documents."""

    name: str
    about: str
    load: Callable[[Wanted], Sequence[TextItem]]
    argument: str = ""


Task = AnswerTask | ChoiceTask | TextTask
