"""Grade a trained model on a task: generated problems, GSM8K files, or a person's own.

The model answers by every method whose needs it meets, or by those that are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.data import PROBLEM_SETS, Split, generate, load_problems
from glassmind.errors import UserError
from glassmind.evaluate.ladder.rows import ladder_row
from glassmind.evaluate.run_files import SCHEMA, Ladder
from glassmind.generate import SamplingParams
from glassmind.pipeline.ladder import climb
from glassmind.pipeline.prepare import make_slices
from glassmind.progress import Progress
from glassmind.reason import registry
from glassmind.reason.method import Budget
from glassmind.reason.model import own_model
from glassmind.reason.session import Session
from glassmind.records import Problem
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import SamplingConfig

GENERATED: tuple[Split, ...] = ("validation", "test", "longer", "reworded")
TASKS = (*GENERATED, *(task for name in PROBLEM_SETS for task in (name, f"{name}-train")))


def task_problems(task: str, loaded: Loaded, limit: int) -> list[Problem]:
    """The problems of a task name, or of the JSONL file it names; ``limit`` 0 takes all.

    ``test`` and ``validation`` are those of the run itself, also where they came from a file.

    Raises:
        UserError: there is neither such a task nor such a file, or its data is missing.
    """
    recipe = loaded.recipe
    for split in GENERATED:
        if task == split and recipe.problems.file:
            problems: list[Problem] = getattr(make_slices(recipe), split)
            if not problems:
                raise UserError(f"a run on {recipe.problems.file} has no {split} problems")
            return problems[:limit] if limit else problems
        if task == split:
            count = limit or getattr(recipe.problems, split) or 500
            return generate(recipe.problems.dial, count, split=split, seed=recipe.seed)
    name = task.removesuffix("-train")
    if name in PROBLEM_SETS:
        chosen = PROBLEM_SETS[name]
        problems = chosen.held_out() if task == name else chosen.train()
    elif task.endswith((".jsonl", ".json")):
        problems = load_problems(task)
    else:
        raise UserError(
            f"there is no task {task!r}: it is one of {', '.join(TASKS)}, or a JSONL of problems"
        )
    return problems[:limit] if limit else problems


def evaluate_task(
    task: str,
    loaded: Loaded,
    *,
    methods: Sequence[str] = (),
    limit: int = 0,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ladder:
    """Grade ``loaded`` on ``task``: a ladder (see ``ladder.json``) with one slice, the task.

    ``methods`` are the names of those to run, by default all whose needs the model meets. Questions
    too long for the model's context count as wrong; ``Ladder.skipped`` says how many.

    Raises:
        UserError: there is no such task or method, or a method needs what the model lacks.
    """
    asked = [registry.named(name) for name in dict.fromkeys(methods)]
    problems = task_problems(task, loaded, limit)
    model = own_model(loaded, sampling)
    config = model.default_sampling
    sampled = SamplingParams.of(config, seed=seed)
    if asked and not any(method.scales for method in asked):
        sampled = replace(sampled, samples=1)
    session = Session(
        [model],
        SamplingParams.of(config, seed=seed, greedy=True),
        sampled,
        progress=progress,
        label=f"{task} ",
    )
    for method in asked:
        registry.require(method, session.has)
    chosen = [m for m in registry.usable(session.has) if not asked or m in asked]
    result = climb(problems, session, chosen, Budget(config.samples))
    any_method, *_ = result.solutions.values()
    return Ladder(
        schema=SCHEMA,
        recipe=loaded.recipe.name,
        commit=loaded.run.info().commit,
        seed=seed,
        rows=tuple(ladder_row(method, task, result.verdicts) for method in chosen),
        skipped=sum(solution.cost.prompt_tokens == 0 for solution in any_method),
    )
