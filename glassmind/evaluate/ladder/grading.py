"""From a method's solutions to verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.grade import grade
from glassmind.reason.method import Solution
from glassmind.records import Problem, Verdict


def verdicts(problems: Sequence[Problem], solutions: Sequence[Solution]) -> list[Verdict]:
    """Grade one solution per problem; a solution without an answer is wrong.

    Raises:
        ValueError: the solutions are not those of these problems, in order.
    """
    graded = []
    for problem, solution in zip(problems, solutions, strict=True):
        if solution.problem_id != problem.id:
            raise ValueError(
                f"the solution of {solution.problem_id} stands where that of {problem.id} belongs"
            )
        given = solution.answer
        right = given is not None and grade(problem.answer, given)
        graded.append(Verdict(problem.id, given, right, solution.cost))
    return graded
