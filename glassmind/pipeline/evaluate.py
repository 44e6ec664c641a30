"""Grade a trained model on a task: generated problems, GSM8K files, or a person's own.

The model answers as the ladder's top does: sampled chains, a vote, the verifier's vote where the
run has a verifier; beside it the greedy chain.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from glassmind.data import Split, generate, gsm8k, jsonl
from glassmind.errors import UserError
from glassmind.evaluate.ladder_rows import ladder_row
from glassmind.evaluate.methods import GREEDY, METHODS, NEEDS_SCORES, verdicts
from glassmind.generate import Engine, SamplingParams
from glassmind.progress import Progress, Silent
from glassmind.reason.chains import sample_completions
from glassmind.reason.verify import score_completions
from glassmind.records import Problem, Verdict
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import Style, encode_prompt

GENERATED: tuple[Split, ...] = ("validation", "test", "longer", "reworded")
TASKS = (*GENERATED, "gsm8k", "gsm8k-train")


def task_problems(task: str, loaded: Loaded, limit: int) -> list[Problem]:
    """The problems of a task name, or of the JSONL file it names; ``limit`` 0 takes all.

    Raises:
        UserError: there is neither such a task nor such a file, or its data is missing.
    """
    recipe = loaded.recipe
    for split in GENERATED:
        if task == split:
            count = limit or getattr(recipe.problems, split) or 500
            return generate(recipe.problems.dial, count, split=split, seed=recipe.seed)
    if task.startswith("gsm8k") and task in TASKS:
        path = gsm8k.gsm8k_path("train" if task == "gsm8k-train" else "valid")
        problems = gsm8k.load_gsm8k(path, equations=True)
    elif task.endswith((".jsonl", ".json")):
        problems = jsonl.load_problems(task)
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
    context = loaded.model.config.max_tokens
    fits = [len(encode_prompt(loaded.tokenizer, p.question, "chain")) < context for p in problems]
    asked = [p for p, fit in zip(problems, fits, strict=True) if fit]
    if not asked:
        raise UserError(f"no question of {task} fits the model's context of {context} tokens")
    config = sampling or loaded.recipe.sampling
    engine = Engine(
        loaded.model, pad_id=loaded.tokenizer.special["<|pad|>"], max_rows=config.max_rows
    )
    greedy = SamplingParams(max_new_tokens=config.max_new_tokens, temperature=0.0, seed=seed)
    sampled = SamplingParams(
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        samples=config.samples,
        seed=seed,
    )
    started = time.monotonic()
    style: Style = "direct" if loaded.stage == "base" else "chain"
    rungs = {"base"} if loaded.stage == "base" else set(METHODS) - {"base"}
    watcher.start(f"{task}: greedy", len(asked), "problems")
    one = sample_completions(
        engine, loaded.tokenizer, asked, greedy, style, lambda done, _: watcher.update(done)
    )
    watcher.end()
    chains = one
    if style == "chain":
        watcher.start(f"{task}: sampling", len(asked) * config.samples, "chains")
        chains = sample_completions(
            engine, loaded.tokenizer, asked, sampled, style, lambda done, _: watcher.update(done)
        )
        watcher.end()
    if loaded.verifier is None:
        rungs -= set(NEEDS_SCORES)
    elif style == "chain":
        watcher.start(f"{task}: verifying", len(asked), "problems")
        chains = score_completions(
            loaded.verifier,
            loaded.tokenizer,
            asked,
            chains,
            progress=lambda done, _: watcher.update(done),
        )
        watcher.end()
    seconds = time.monotonic() - started
    missed = [
        Verdict(p.id, None, False, 0) for p, fit in zip(problems, fits, strict=True) if not fit
    ]
    results: dict[str, Sequence[Verdict]] = {
        m: verdicts(m, asked, one if m in GREEDY else chains) + missed
        for m in METHODS
        if m in rungs
    }
    rows = [ladder_row(rung, task, results, seconds) for rung in results]
    return {
        "schema": 1,
        "recipe": loaded.recipe.name,
        "commit": loaded.run.facts().get("commit", ""),
        "seed": seed,
        "skipped": len(missed),
        "rows": rows,
    }
