"""Every problem of an evaluation with what was answered: ``problems.jsonl``.

A table says how many were right; this says which, and what was said of the others. Two such files
of the same problems can be compared (``compare.answers``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.ladder.names import title
from glassmind.files import write_text
from glassmind.grade.chain_checks import check_chain
from glassmind.reason.method import Solution
from glassmind.records import Problem, Verdict
from glassmind.serialization import MOST_RESULT, decode, encode, parse_json

MAX_BYTES = 512 * 2**20
"""Of a file; a larger one is refused."""


@dataclass(frozen=True, slots=True)
class MethodAnswer:
    """A method's answer to a problem, and the steps of the chain that it chose."""

    method: str
    answer: str | None
    correct: bool
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GradedProblem:
    """A problem, its right ``answer``, and what ``model`` answered by each method."""

    id: str
    question: str
    answer: str
    model: str
    answers: tuple[MethodAnswer, ...]

    def by(self, method: str) -> MethodAnswer | None:
        """The answer of a method, if it was asked."""
        return next((found for found in self.answers if found.method == method), None)


def graded_problems(
    model: str,
    problems: Sequence[Problem],
    solutions: Mapping[str, Sequence[Solution]],
    verdicts: Mapping[str, Sequence[Verdict]],
) -> tuple[GradedProblem, ...]:
    """The problems with every method's solutions and verdicts, all in the same order."""
    return tuple(
        GradedProblem(
            problem.id,
            problem.question,
            problem.answer,
            model,
            tuple(
                _answered(method, found[number], verdicts[method][number])
                for method, found in solutions.items()
            ),
        )
        for number, problem in enumerate(problems)
    )


def _answered(method: str, solution: Solution, verdict: Verdict) -> MethodAnswer:
    chains = solution.trace.completions
    chosen = solution.chosen
    if chosen is None and len(chains) == 1:
        chosen = 0  # a single chain is shown also where it reached no answer
    steps = () if chosen is None else chains[chosen].steps
    return MethodAnswer(method, solution.answer, verdict.correct, steps)


def write_problems(path: Path, problems: Sequence[GradedProblem]) -> None:
    """One JSON object a line."""
    write_text(path, "".join(f"{_line(problem)}\n" for problem in problems))


def _line(problem: GradedProblem) -> str:
    return json.dumps(encode(problem), ensure_ascii=False)


def read_problems(path: Path) -> list[GradedProblem]:
    """Read them back.

    Raises:
        UserError: there is no such file, it is too large, or a line is malformed.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES // 2**20} MB")
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            found.append(decode(GradedProblem, parse_json(line, where, most=MOST_RESULT), where))
    if not found:
        raise UserError(f"{path} holds no problems: glassmind eval --out writes such a file")
    return found


def told(problem: GradedProblem, method: str) -> list[str]:
    """What a method said to a problem, as lines: its chain with marks, its answer and the right."""
    found = problem.by(method)
    if found is None:
        return [f"  {title(method)} was not asked"]
    checks = check_chain(found.steps, found.answer, problem.question)
    lines = [
        f"    {number}. {step}{'   ✗ false' if holds is False else ''}"
        for number, (step, holds) in enumerate(zip(found.steps, checks.holds, strict=True), 1)
    ]
    given = "no answer" if found.answer is None else found.answer
    mark = "✓" if found.correct else f"✗ (right is {problem.answer})"
    return [*lines, f"  {title(method)}: {given} {mark}"]
