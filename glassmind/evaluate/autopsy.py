"""Reward autopsy: the same stored replies graded by two graders, and where they disagree.

Nothing is sampled. The table has a row for each outcome of the first grader and a column for each
outcome of the second; what is not on its diagonal are disagreements, and each is a fault of one of
the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glassmind.errors import UserError
from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.graded_problems import GradedProblem, MethodAnswer
from glassmind.evaluate.graders import OUTCOMES, Grader, Outcome, reply_of
from glassmind.evaluate.ladder.names import is_ceiling, order, title
from glassmind.evaluate.wording import interval, p_phrase, percent
from glassmind.grade.symbolic import Comparisons, comparisons
from glassmind.quantity import quantity
from glassmind.statistics import mcnemar_exact, wilson_interval

_REPLY_LINES = 3  # of a reply, from its end, that are shown


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A reply on which two graders gave different ``outcomes``."""

    problem: GradedProblem
    answer: MethodAnswer
    outcomes: tuple[Outcome, Outcome]


@dataclass(frozen=True, slots=True)
class Autopsy:
    """The outcomes of two ``graders`` on the replies of ``method``.

    ``table[i][j]`` counts the replies with outcome *i* of the first and *j* of the second, in the
    order of ``OUTCOMES``. ``formulas`` counts the comparisons of formulas that were needed.
    """

    model: str
    method: str
    graders: tuple[str, str]
    table: tuple[tuple[int, ...], ...]
    disagreements: tuple[Disagreement, ...]
    formulas: Comparisons

    @property
    def n(self) -> int:
        """How many replies were graded."""
        return sum(map(sum, self.table))

    @property
    def right(self) -> tuple[int, int]:
        """How many replies each grader calls right."""
        return sum(self.table[0]), sum(row[0] for row in self.table)

    @property
    def p_value(self) -> float:
        """McNemar's exact test of "right" by one grader against "right" by the other."""
        first, second = self.right
        both = self.table[0][0]
        return mcnemar_exact(second - both, first - both)


def autopsy(
    problems: Sequence[GradedProblem], graders: tuple[Grader, Grader], method: str = ""
) -> Autopsy:
    """Grade the stored replies of ``method`` by two graders; by default those of the highest method
    on the ladder.

    Raises:
        UserError: the method was not asked.
    """
    method = method or highest_method(problems)
    before = comparisons()
    table = [[0] * len(OUTCOMES) for _ in OUTCOMES]
    differing = []
    for problem in problems:
        answer = answered_by(problem, method)
        outcomes = graders[0].judge(problem, answer), graders[1].judge(problem, answer)
        table[OUTCOMES.index(outcomes[0])][OUTCOMES.index(outcomes[1])] += 1
        if outcomes[0] != outcomes[1]:
            differing.append(Disagreement(problem, answer, outcomes))
    return Autopsy(
        problems[0].model,
        method,
        (graders[0].name, graders[1].name),
        tuple(map(tuple, table)),
        tuple(differing),
        comparisons() - before,
    )


def regraded(problems: Sequence[GradedProblem], grader: Grader) -> list[GradedProblem]:
    """The problems with the verdicts of ``grader`` for every method but those that only show a
    ceiling, which no grader of single replies can compute."""
    return [
        replace(
            problem,
            answers=tuple(
                replace(answer, correct=grader.judge(problem, answer) == "right")
                for answer in problem.answers
                if not is_ceiling(answer.method)
            ),
        )
        for problem in problems
    ]


def highest_method(problems: Sequence[GradedProblem]) -> str:
    """The highest method on the ladder that answers. Raises ``UserError`` if there is none."""
    names = [a.method for a in problems[0].answers if not is_ceiling(a.method)]
    if not names:
        raise UserError("the file has no answers of a method that can be graded")
    return max(names, key=order)


def answered_by(problem: GradedProblem, method: str) -> MethodAnswer:
    """The answer of a method. Raises ``UserError`` if it was not asked."""
    answer = problem.by(method)
    if answer is None:
        known = ", ".join(a.method for a in problem.answers)
        raise UserError(f"{problem.id} has no answer by {method[:60]!r}; it has {known}")
    return answer


def autopsy_text(found: Autopsy, show: int, width: int | None = None) -> str:
    """The table, and up to ``show`` disagreements."""
    first, second = found.graders
    columns = [Column(f"{first} \\ {second}", left=True), *map(Column, OUTCOMES)]
    rows = [
        (outcome, *(f"{count:,}" for count in row))
        for outcome, row in zip(OUTCOMES, found.table, strict=True)
    ]
    lines = [
        f"{quantity(found.n, 'stored answer')} of {found.model}, {title(found.method)}",
        "",
        *table_lines(columns, rows, width),
        "",
    ]
    for name, right in zip(found.graders, found.right, strict=True):
        bounds = interval(*wilson_interval(right, found.n))
        lines.append(f"  {percent(right / found.n):>8}  right by {name} ({bounds})")
    lines.append(f"  exact paired test: {p_phrase(found.p_value)}")
    formulas = found.formulas
    if formulas.asked or formulas.as_text:
        lines.append(
            f"  comparisons of formulas: {formulas.asked:,}, cut off {formulas.cut_off:,}, "
            f"as text {formulas.as_text:,}"
        )
    for one in found.disagreements[:show]:
        said = reply_of(one.answer).splitlines()
        lines += ["", one.problem.question, f"right: {one.problem.answer}"]
        lines += [f"    {line}" for line in said[-_REPLY_LINES:]]
        for name, outcome in zip(found.graders, one.outcomes, strict=True):
            lines.append(f"  {name}: {outcome}")
    hidden = len(found.disagreements) - show
    if hidden > 0:
        lines += ["", f"and {hidden:,} more disagreements; --show {show + hidden} has all"]
    return "\n".join(lines)


def autopsy_record(found: Autopsy) -> dict[str, object]:
    """The same for machines."""
    return {
        "model": found.model,
        "method": found.method,
        "graders": list(found.graders),
        "outcomes": list(OUTCOMES),
        "table": [list(row) for row in found.table],
        "right": list(found.right),
        "n": found.n,
        "p_value": found.p_value,
        "formulas": {
            "asked": found.formulas.asked,
            "cut_off": found.formulas.cut_off,
            "as_text": found.formulas.as_text,
        },
        "disagreements": [
            {"id": one.problem.id, "outcomes": list(one.outcomes)} for one in found.disagreements
        ],
    }
