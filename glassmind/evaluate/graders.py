r"""Graders of stored replies: several ways to decide whether a reply is right.

A grader that is too strict or too lenient changes a result as much as the model does, and a model
that is trained on its verdicts learns its weaknesses. Each grader reads a stored reply again and
gives one of four outcomes, because "not right" can mean three things: another answer, no answer
that the grader can find, or one that it could not compare within its limits.

    stored        the verdict of the evaluation
    values        the stored answer, compared by value
    reread        the answer that is found in the whole reply, compared by value
    last-number   the last number of the reply, as text (lm-eval's flexible-extract for GSM8K)
    hashes        the number behind ####, as text (lm-eval's strict-match for GSM8K)
    boxed         the content of the last \boxed{...}, compared by value
    exact         the stored answer as text, without case and white space

The rewards with holes (``reason.reward_holes``) are graders as well, by the same names, so that an
autopsy shows which replies they pay for and others do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import GradedProblem, MethodAnswer
from glassmind.grade.answers import extract_answer
from glassmind.grade.equality import decide
from glassmind.grade.symbolic import CutOff
from glassmind.reason.reward_holes import HOLES, Hole, Reply

Outcome = Literal["right", "wrong", "unparseable", "timed out"]
OUTCOMES: tuple[Outcome, ...] = ("right", "wrong", "unparseable", "timed out")

LONGEST = 20_000
"""Only this many characters at the end of a reply are read."""

_NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_HASHES = re.compile(r"#### (-?[0-9.,]+)")
_IGNORED = re.compile(r",|\$|\.$")


@dataclass(frozen=True, slots=True)
class Grader:
    """A way to grade: its name, what it does, and the function that does it."""

    name: str
    about: str
    judge: Callable[[GradedProblem, MethodAnswer], Outcome]


def reply_of(answer: MethodAnswer) -> str:
    """The text of a stored reply: its lines, and the answer if it stands in none of them."""
    text = "\n".join(answer.steps)
    if answer.answer is not None and answer.answer not in text:
        text = f"{text}\nThe answer is {answer.answer}" if text else answer.answer
    return text[-LONGEST:]


def _compared(right: str, given: str | None) -> Outcome:
    if given is None or not given.strip():
        return "unparseable"
    try:
        return "right" if decide(right, given) else "wrong"
    except CutOff:
        return "timed out"


def _stored(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    if answer.correct:
        return "right"
    return "unparseable" if answer.answer is None else "wrong"


def _values(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    return _compared(problem.answer, answer.answer)


def _reread(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    return _compared(problem.answer, extract_answer(reply_of(answer)))


def _boxed(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    reply = reply_of(answer)
    at = reply.rfind("\\boxed")
    return _compared(problem.answer, extract_answer(reply[at:]) if at >= 0 else None)


def _last_number(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    found = _NUMBER.findall(reply_of(answer))
    return _same_text(problem.answer, "".join(found[-1]) if found else None)


def _hashes(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    found = _HASHES.search(reply_of(answer))
    return _same_text(problem.answer, found[1] if found else None)


def _same_text(right: str, given: str | None) -> Outcome:
    if given is None:
        return "unparseable"
    return "right" if _IGNORED.sub("", given) == _IGNORED.sub("", right) else "wrong"


def _exact(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
    if answer.answer is None:
        return "unparseable"
    given, right = ("".join(text.split()).casefold() for text in (answer.answer, problem.answer))
    return "right" if given == right else "wrong"


def _by_hole(hole: Hole) -> Grader:
    def judge(problem: GradedProblem, answer: MethodAnswer) -> Outcome:
        reply = Reply(problem.question, problem.answer, answer.steps, answer.answer)
        if hole.judge(reply) >= 1:
            return "right"
        return "unparseable" if answer.answer is None else "wrong"

    return Grader(hole.name, hole.explanation, judge)


GRADERS: dict[str, Grader] = {
    grader.name: grader
    for grader in (
        Grader("stored", "the verdict of the evaluation", _stored),
        Grader("values", "the stored answer, compared by value", _values),
        Grader("reread", "the answer found in the whole reply, compared by value", _reread),
        Grader("last-number", "the last number of the reply, as text", _last_number),
        Grader("hashes", "the number behind ####, as text", _hashes),
        Grader("boxed", r"the content of the last \boxed{...}, compared by value", _boxed),
        Grader("exact", "the stored answer as text, without case and white space", _exact),
        *map(_by_hole, HOLES),
    )
}
"""Every grader by its name."""


def grader_named(name: str) -> Grader:
    """The grader of that name.

    Raises:
        UserError: there is none.
    """
    if name not in GRADERS:
        raise UserError(f"there is no grader {name[:60]!r}; the graders are {', '.join(GRADERS)}")
    return GRADERS[name]
