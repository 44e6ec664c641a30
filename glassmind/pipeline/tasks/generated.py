"""Generated word problems: the slices on which the ladder of a run is measured.

``test`` is like the training problems, ``longer`` has more steps, ``reworded`` has wordings that
were never trained on, and ``validation`` is for choosing between variants of a method. For a run on
problems of a file, ``test`` and ``validation`` are those that were held out from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from glassmind.data.generator import generate
from glassmind.data.splits import Split
from glassmind.errors import UserError
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted
from glassmind.records import Problem

_ABOUT: dict[Split, str] = {
    "validation": "generated problems like those of training, for choosing between variants",
    "test": "generated problems like those of training",
    "longer": "generated problems with more steps than ever trained on",
    "reworded": "generated problems in wordings never trained on",
}
_USUAL_COUNT = 500


def _load(split: Split, wanted: Wanted) -> Questions:
    recipe, limit = wanted.recipe, wanted.limit
    if recipe.problems.file:
        from glassmind.pipeline.prepare import make_slices

        problems: list[Problem] = getattr(make_slices(recipe), split)
        if not problems:
            raise UserError(f"a run on {recipe.problems.file} has no {split} problems")
        return Questions(problems)
    count = limit or getattr(recipe.problems, split) or _USUAL_COUNT
    return Questions(generate(recipe.problems.dial, count, split=split, seed=recipe.seed))


def _examples(wanted: Wanted, count: int) -> Sequence[Problem]:
    recipe = wanted.recipe
    if recipe.problems.file:
        from glassmind.pipeline.prepare import make_slices

        return make_slices(recipe).train
    return generate(recipe.problems.dial, count, split="train", seed=recipe.seed)


TASKS = tuple(
    AnswerTask(split, about, partial(_load, split), examples=_examples)
    for split, about in _ABOUT.items()
)
