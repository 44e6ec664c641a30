"""Questions of which half cannot be answered: does the model say so?

Besides the share of right replies, two rates are measured. Precision is the share of the questions
it declined that cannot be answered, recall the share of those that cannot be answered that it
declined. A model that never declines has recall 0 and no precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glassmind.data.problems.sets import data_file
from glassmind.data.problems.unanswerable import UNANSWERABLE, abstains, load_unanswerable
from glassmind.evaluate.abstention import AbstentionRow
from glassmind.grade import grade
from glassmind.pipeline.tasks.reply import reply_text
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted
from glassmind.reason.method import Solution
from glassmind.records import Problem


def _load(wanted: Wanted) -> Questions:
    return Questions(load_unanswerable(data_file("worked/umwp.jsonl.gz")), right)


def right(problem: Problem, solution: Solution) -> bool:
    """A question that cannot be answered has to be declined, any other one answered."""
    declined = abstains(reply_text(solution))
    if problem.answer == UNANSWERABLE:
        return declined
    return not declined and grade(problem.answer, solution.answer)


def abstention_rows(
    problems: Sequence[Problem], solutions: Mapping[str, Sequence[Solution]]
) -> tuple[AbstentionRow, ...]:
    """How often each method declined, rightly and wrongly."""
    rows = []
    for method, found in solutions.items():
        pairs = list(zip(problems, found, strict=True))
        lacking = [s for p, s in pairs if p.answer == UNANSWERABLE]
        whole = [(p, s) for p, s in pairs if p.answer != UNANSWERABLE]
        rows.append(
            AbstentionRow(
                method=method,
                answerable=len(whole),
                unanswerable=len(lacking),
                declined_rightly=sum(abstains(reply_text(s)) for s in lacking),
                declined_wrongly=sum(abstains(reply_text(s)) for _, s in whole),
                right=sum(right(p, s) for p, s in whole),
            )
        )
    return tuple(rows)


TASK = AnswerTask(
    "umwp",
    "word problems, half of which lack something that the answer needs (Sun et al. 2024)",
    _load,
    prompt="unanswerable-1",
    abstention=True,
)
