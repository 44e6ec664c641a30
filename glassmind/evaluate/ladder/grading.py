"""From a method's solutions to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.grade import grade
from glassmind.reason.method import Solution
from glassmind.records import Problem, Verdict

Right = Callable[[Problem, Solution], bool]
"""Whether a solution is right: a task's own grader."""


def same_answer(problem: Problem, solution: Solution) -> bool:
    """Whether the solution's answer has the value of the problem's; without an answer it is
    wrong."""
    return solution.answer is not None and grade(problem.answer, solution.answer)


def verdicts(
    problems: Sequence[Problem], solutions: Sequence[Solution], right: Right = same_answer
) -> list[Verdict]:
    """Grade one solution per problem.

    Raises:
        ValueError: the solutions are not those of these problems, in order.
    """
    graded = []
    for problem, solution in zip(problems, solutions, strict=True):
        if solution.problem_id != problem.id:
            raise ValueError(
                f"the solution of {solution.problem_id} stands where that of {problem.id} belongs"
            )
        correct = right(problem, solution)
        graded.append(Verdict(problem.id, solution.answer, correct, solution.cost))
    return graded
