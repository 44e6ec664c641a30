"""Check solutions that somebody has written: the first wrong step, why, and how sure that is.

    check("Mia has 3 boxes of 12 pencils. How many?", "pencils: 3*12=38").reason

A solution is checked exactly, and by the verifier of a model if the question is of a kind that it
was trained on and the steps are written as the model writes them (``reason.check``).
"""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.data.problems.written_solutions import WrittenSolution
from glassmind.errors import UserError
from glassmind.evaluate.verifier.first_error import FirstErrorScore, first_error_score
from glassmind.grade.written_steps import split_steps
from glassmind.llm import LocalLLM, Source, as_llm
from glassmind.llm.questions import check_question
from glassmind.reason.check import Check, check_solutions


def check(
    question: str,
    solution: str | Sequence[str],
    model: Source = None,
    *,
    verifier: bool = True,
) -> Check:
    """The verdict on one solution: a text (its lines or paragraphs are the steps) or its steps.

    ``model`` is the one whose verifier is asked, by default the one that comes with the package;
    with ``verifier=False`` no model is opened, and only the exact checks are made.

    Raises:
        UserError: the question or the solution is empty, or there is no such model.
    """
    check_question(question)
    steps = split_steps(solution) if isinstance(solution, str) else [*solution]
    if not any(step.strip() for step in steps):
        raise UserError("the solution is empty: give its steps, one a line")
    return check_solutions([question], [steps], verifier_of(model) if verifier else None)[0]


def check_all(solutions: Sequence[WrittenSolution], llm: LocalLLM | None = None) -> list[Check]:
    """The verdicts on several solutions, in order."""
    return check_solutions([s.question for s in solutions], [s.steps for s in solutions], llm)


def score_checks(solutions: Sequence[WrittenSolution], checks: Sequence[Check]) -> FirstErrorScore:
    """How often the verdicts name the labelled first wrong step.

    Raises:
        UserError: a solution has no label.
    """
    bare = next((s.name for s in solutions if s.first_wrong is None), None)
    if bare is not None:
        raise UserError(f"{bare} has no label, so it cannot be evaluated: give label or labels")
    truth = [-1 if s.first_wrong is None else s.first_wrong for s in solutions]
    return first_error_score(truth, [found.first_wrong for found in checks])


def verifier_of(model: Source = None) -> LocalLLM:
    """The model as one in this process.

    Raises:
        UserError: it is an address, whose verifier cannot be asked.
    """
    llm = as_llm(model)
    if not isinstance(llm, LocalLLM):
        raise UserError(f"{llm.name} is an address: checking needs a run's folder, or --no-model")
    return llm
