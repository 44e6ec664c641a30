"""Grade a model on a task: generated problems, GSM8K files, or a person's own.

Any model that can be asked can be graded. It answers as the ladder's top does: the greedy chain;
beside it, where more than one chain is sampled, their vote; and the verifier's vote where the model
has a verifier.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from glassmind.data import PROBLEM_SETS, Split, generate, load_problems
from glassmind.errors import UserError
from glassmind.evaluate.ladder.methods import GREEDY, METHODS, NEEDS_SCORES, verdicts
from glassmind.evaluate.ladder.rows import ladder_row
from glassmind.generate import SamplingParams
from glassmind.llm import LLM, Source, as_llm
from glassmind.llm.prompts import chosen_examples
from glassmind.pipeline.prepare import make_slices
from glassmind.progress import Progress, Silent, watched
from glassmind.reason.verify import score_traces
from glassmind.records import Problem, Trace, Verdict
from glassmind.runs.recipe import Recipe, SamplingConfig, read_recipe

GENERATED: tuple[Split, ...] = ("validation", "test", "longer", "reworded")
TASKS = (*GENERATED, *(task for name in PROBLEM_SETS for task in (name, f"{name}-train")))


def task_recipe(llm: LLM) -> Recipe:
    """Whose generated problems a model is graded on: its run's, or the demo's where it has none."""
    return llm.recipe or read_recipe("demo")


def task_problems(task: str, recipe: Recipe, limit: int) -> list[Problem]:
    """The problems of a task name, or of the JSONL file it names; ``limit`` 0 takes all.

    ``test`` and ``validation`` are those of the recipe, also where they came from a file.

    Raises:
        UserError: there is neither such a task nor such a file, or its data is missing.
    """
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


def worked_examples(task: str, recipe: Recipe, count: int) -> tuple[Problem, ...]:
    """``count`` training problems with worked steps, to be shown before a question of ``task``.

    They are none of the problems that ``task`` asks: the training problems of the same set, and
    GSM8K's for a file.

    Raises:
        UserError: there are too few, or their data is missing.
    """
    if task.removesuffix("-train") in PROBLEM_SETS and task.endswith("-train"):
        raise UserError(f"{task} is what examples are taken from: grade another task with them")
    if task not in GENERATED:
        return chosen_examples(PROBLEM_SETS.get(task, PROBLEM_SETS["gsm8k"]).train(), count)
    if recipe.problems.file:
        return chosen_examples(make_slices(recipe).train, count)
    made = generate(recipe.problems.dial, count, split="train", seed=recipe.seed)
    return chosen_examples(made, count)


def evaluate_task(
    task: str,
    model: Source,
    *,
    limit: int = 0,
    shots: int = 0,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Grade ``model`` on ``task``: a ladder (see ``ladder.json``) with one slice, the task.

    ``model`` is whatever ``open_llm`` opens, or what it returned; before each question it is shown
    ``shots`` training problems with their solutions. Questions too long for the model's context
    count as wrong; ``skipped`` says how many.
    """
    watcher = progress or Silent()
    llm = as_llm(model)
    recipe = task_recipe(llm)
    problems = task_problems(task, recipe, limit)
    if shots:
        shown = worked_examples(task, recipe, shots)
        llm = llm.with_prompts(replace(llm.prompts, examples=shown))
    config = sampling or llm.default_sampling
    started = time.monotonic()
    rungs = {"base"} if llm.style == "direct" else set(METHODS) - {"base"}
    with watched(watcher, f"{task}: greedy", len(problems), "problems") as watch:
        params = SamplingParams.of(config, seed=seed, greedy=True)
        one = llm.sample(problems, params, llm.style, watch)
    chains = one
    if config.samples == 1:
        rungs &= set(GREEDY)
    elif llm.style == "chain":
        total = len(problems) * config.samples
        with watched(watcher, f"{task}: sampling", total, "chains") as watch:
            chains = llm.sample(problems, SamplingParams.of(config, seed=seed), llm.style, watch)
    if llm.scorer is None or llm.tokenizer is None:
        rungs -= set(NEEDS_SCORES)
    elif chains is not one:
        with watched(watcher, f"{task}: verifying", len(problems), "documents") as watch:
            chains = score_traces(llm.scorer, llm.tokenizer, problems, chains, progress=watch)
    if not any(c.logprobs for trace in chains for c in trace.completions):
        rungs -= {"log-probability-vote"}  # a server that gives none
    seconds = time.monotonic() - started
    results: dict[str, Sequence[Verdict]] = {
        method: verdicts(method, problems, one if method in GREEDY else chains)
        for method in METHODS
        if method in rungs
    }
    return {
        "schema": 1,
        "recipe": llm.name if llm.recipe is None else llm.recipe.name,
        "commit": "" if llm.run is None else llm.run.info().commit,
        "seed": seed,
        "skipped": sum(_skipped(trace) for trace in one),
        "rows": [ladder_row(rung, task, results, seconds) for rung in results],
    }


def _skipped(trace: Trace) -> bool:
    """Whether the question did not fit the model's context."""
    only = trace.completions[0]
    return only.finish == "length" and not only.cost.completion_tokens
