"""The ladder: direct answer → chain of thought → self-consistency → verifier, measured.

One recipe in, one folder out: two models that differ only in what they were shown, a verifier
trained on the second one's own mistakes, and the same test problems answered by every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from glassmind.data import check_disjoint
from glassmind.errors import UserError
from glassmind.evaluate.ladder.methods import METHODS, verdicts
from glassmind.evaluate.ladder.rows import ladder_row, rows_by_steps
from glassmind.evaluate.report.page import write_report
from glassmind.files import write_json
from glassmind.model import TokenScorer, Transformer
from glassmind.pipeline.ask import save_familiarity
from glassmind.pipeline.exhibits import attention_exhibit, examples, rows_by_votes
from glassmind.pipeline.prepare import (
    make_slices,
    run_tokenizer,
    training_rows,
    validation_rows,
)
from glassmind.pipeline.stages import (
    STYLES,
    Job,
    greedy_params,
    sampled,
    sampling_params,
    train_language_model,
    train_verifier,
)
from glassmind.progress import Progress, Silent
from glassmind.records import Problem, Trace, Verdict
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.serialization import read_json
from glassmind.train.trackers import require_trackers


@dataclass(frozen=True)
class SliceResult:
    """One test slice: its problems, what was sampled, and every rung's verdicts."""

    problems: Sequence[Problem]
    greedy: Sequence[Trace]
    chains: Sequence[Trace]
    verdicts: Mapping[str, Sequence[Verdict]]


def run_ladder(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> RunFolder:
    """Climb the whole ladder into ``folder`` and write its report.

    A run that was interrupted goes on where it stopped when called again with ``resume``.

    Raises:
        UserError: the recipe or its problems cannot be used, or ``folder`` holds something else.
    """
    watcher = progress or Silent()
    require_trackers((*recipe.train.trackers, *recipe.verifier.train.trackers))
    slices = make_slices(recipe)  # first: a wrong file must not leave a run behind
    run = open_run(folder, recipe, resume=resume)
    check_disjoint(slices.train, slices.validation)
    for name, problems in slices.tests().items():
        check_disjoint(slices.train, problems)
        check_disjoint(slices.validation, problems)
        watcher.end(f"{len(problems)} {name} problems, none of them seen in training")
    tokenizer = run_tokenizer(run, recipe, slices.train)
    save_familiarity(run.path / "familiarity.json", slices.train)
    job = Job(run, recipe, tokenizer, torch.device(device), watcher)

    models: dict[str, Transformer] = {}
    for stage, style in STYLES.items():
        make_rows = partial(training_rows, recipe, tokenizer, slices.train, style)
        held_out = validation_rows(recipe, tokenizer, slices.validation, style)
        models[stage] = train_language_model(job, stage, make_rows, held_out)
    scorer = train_verifier(job, models["chain-of-thought"], slices.train)

    results = {
        name: _climb(job, name, problems, models, scorer)
        for name, problems in slices.tests().items()
    }
    _write_results(job, results, models["chain-of-thought"])
    write_report(run.path)
    return run


def _climb(
    job: Job,
    slice: str,
    problems: Sequence[Problem],
    models: Mapping[str, Transformer],
    scorer: TokenScorer,
) -> SliceResult:
    """Answer one slice by every method."""
    greedy = {
        stage: sampled(job, f"{slice}-{stage}", model, problems, greedy_params(job), STYLES[stage])
        for stage, model in models.items()
    }
    chains = sampled(
        job,
        f"{slice}-chains",
        models["chain-of-thought"],
        problems,
        sampling_params(job),
        "chain",
        scorer,
    )
    answered = {
        method: verdicts(method, problems, greedy.get(method, chains)) for method in METHODS
    }
    return SliceResult(problems, greedy["chain-of-thought"], chains, answered)


def _write_results(job: Job, results: Mapping[str, SliceResult], model: Transformer) -> None:
    path = job.run.path
    info = job.run.info()
    rows: list[dict[str, Any]] = []
    by_steps: list[dict[str, Any]] = []
    for name, result in results.items():
        for rung in METHODS:
            seconds = job.run.spent(_sampling_stage(name, rung))
            if rung.startswith("verifier"):
                seconds += job.run.spent(f"verify {name}-chains")
            rows.append(ladder_row(rung, name, result.verdicts, seconds))
            by_steps += rows_by_steps(rung, name, result.problems, result.verdicts[rung])
    test = results["test"]
    write_json(path / "by_steps.json", by_steps)
    write_json(path / "votes.json", rows_by_votes(test.problems, test.chains))
    write_json(path / "examples.json", examples(test.problems, test.greedy, test.chains))
    exhibit = attention_exhibit(
        model, job.tokenizer, test.problems[0], test.greedy[0].completions[0]
    )
    if exhibit is not None:
        write_json(path / "attention.json", exhibit)
    ladder = {
        "schema": 1,
        "recipe": job.recipe.name,
        "commit": info.commit,
        "seed": job.recipe.seed,
        "rows": rows,
    }
    write_json(path / "ladder.json", ladder)


def _sampling_stage(slice: str, rung: str) -> str:
    return f"sample {slice}-{rung if rung in STYLES else 'chains'}"


def read_ladder_json(run: RunFolder) -> dict[str, Any]:
    """A finished run's ``ladder.json``.

    Raises:
        UserError: the run has not got that far.
    """
    path = run.path / "ladder.json"
    if not path.is_file():
        raise UserError(f"{run.path} has no ladder.json yet: go on with the run by --resume")
    ladder = read_json(path)
    if not isinstance(ladder, dict) or ladder.get("schema") != 1:
        raise UserError(f"{path} is not a ladder of schema 1")
    return ladder
