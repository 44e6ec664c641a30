"""Grade a trained model on a task: generated problems, GSM8K files, or a person's own.

The model answers as the ladder's top does: sampled chains, a vote, the verifier's vote where the
run has a verifier; beside it the greedy chain.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from glassmind.data import PROBLEM_SETS, Split, generate, load_problems
from glassmind.errors import UserError
from glassmind.evaluate.ladder.methods import GREEDY, METHODS, NEEDS_SCORES, verdicts
from glassmind.evaluate.ladder.rows import ladder_row
from glassmind.generate import Engine, SamplingParams, pack_model
from glassmind.pipeline.prepare import make_slices
from glassmind.progress import Progress, Silent, watched
from glassmind.reason.chains import sample_traces
from glassmind.reason.verify import score_traces
from glassmind.records import Problem, Verdict
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import Style

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
    limit: int = 0,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grade ``loaded`` on ``task``: a ladder (see ``ladder.json``) with one slice, the task.

    Questions too long for the model's context count as wrong; ``skipped`` says how many.
    """
    watcher = progress or Silent()
    problems = task_problems(task, loaded, limit)
    config = sampling or loaded.recipe.sampling
    engine = Engine(pack_model(loaded.model), max_rows=config.max_rows)
    greedy = SamplingParams.of(config, seed=seed, greedy=True)
    sampled = SamplingParams.of(config, seed=seed)
    started = time.monotonic()
    style: Style = "direct" if loaded.stage == "base" else "chain"
    rungs = {"base"} if style == "direct" else set(METHODS) - {"base"}
    with watched(watcher, f"{task}: greedy", len(problems), "problems") as watch:
        one = sample_traces(engine, loaded.tokenizer, problems, greedy, style, watch)
    chains = one
    if style == "chain":
        total = len(problems) * config.samples
        with watched(watcher, f"{task}: sampling", total, "chains") as watch:
            chains = sample_traces(engine, loaded.tokenizer, problems, sampled, style, watch)
    if loaded.verifier is None:
        rungs -= set(NEEDS_SCORES)
    elif style == "chain":
        with watched(watcher, f"{task}: verifying", len(problems), "documents") as watch:
            chains = score_traces(
                loaded.verifier, loaded.tokenizer, problems, chains, progress=watch
            )
    seconds = time.monotonic() - started
    results: dict[str, Sequence[Verdict]] = {
        method: verdicts(method, problems, one if method in GREEDY else chains)
        for method in METHODS
        if method in rungs
    }
    return {
        "schema": 1,
        "recipe": loaded.recipe.name,
        "commit": loaded.run.info().commit,
        "seed": seed,
        "skipped": sum(not trace.completions[0].token_ids for trace in one),
        "rows": [ladder_row(rung, task, results, seconds) for rung in results],
    }
