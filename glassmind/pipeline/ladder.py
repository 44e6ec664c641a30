"""The ladder: direct answer → chain of thought → self-consistency → verifier, measured.

One recipe gives one folder: two models that differ only in their training data, a verifier trained
on the mistakes of the second model, and the same test problems answered by every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from glassmind.data import check_disjoint
from glassmind.errors import UserError
from glassmind.evaluate.ladder.grading import Right, same_answer, verdicts
from glassmind.evaluate.ladder.rows import ladder_row, rows_by_steps
from glassmind.evaluate.report.page import write_report
from glassmind.evaluate.run_files import SCHEMA, Ladder, LadderRow, StepsRow, read_ladder
from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.convert import is_own
from glassmind.pipeline.forecast import Forecast
from glassmind.pipeline.prepare import (
    Slices,
    make_slices,
    run_tokenizer,
    training_rows,
    validation_rows,
)
from glassmind.pipeline.pretrained_ladder import started_recipe, taught_models
from glassmind.pipeline.reinforce import check_reinforcing, reinforce
from glassmind.pipeline.report_files import dependencies, examples, rows_by_votes, sharpest_head
from glassmind.pipeline.stages import (
    STYLES,
    Job,
    fresh_model,
    slice_session,
    stage_llm,
    train_language_model,
    train_verifier,
)
from glassmind.progress import Progress, Silent
from glassmind.quantity import quantity
from glassmind.reason import registry
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.session import Session
from glassmind.records import Problem, Verdict
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe
from glassmind.serialization import write_record
from glassmind.tokenize import save
from glassmind.train.watching.trackers import require_trackers


@dataclass(frozen=True)
class SliceResult:
    """One test slice: its problems, the session, every method's solutions and verdicts."""

    problems: Sequence[Problem]
    session: Session
    solutions: Mapping[str, Sequence[Solution]]
    verdicts: Mapping[str, Sequence[Verdict]]


def run_ladder(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> RunFolder:
    """Run the whole ladder into ``folder`` and write its report.

    A run that was interrupted continues where it stopped when called again with ``resume``. With
    ``start``, the models begin with the weights of a finished model. A model from elsewhere gives
    direct answers unchanged, and is fine-tuned on worked solutions for its chains of thought.

    Raises:
        UserError: the recipe or its problems cannot be used, or ``folder`` holds something else.
    """
    watcher: Progress = progress or Silent()
    require_trackers((*recipe.train.trackers, *recipe.verifier.train.trackers))
    check_reinforcing(recipe)
    slices = make_slices(recipe, watcher)  # first: a wrong file must not leave a run behind
    if recipe.start:
        recipe = started_recipe(recipe)
    run = open_run(folder, recipe, resume=resume, warn=watcher.end)
    check_disjoint(slices.train, slices.validation)
    for name, problems in slices.tests().items():
        check_disjoint(slices.train, problems)
        check_disjoint(slices.validation, problems)
        watcher.end(f"{quantity(len(problems), f'{name} problem')}, none of them seen in training")
    save_familiarity(run.path / "familiarity.json", slices.train)
    if recipe.start and not is_own(recipe.start):
        job, models = taught_models(run, recipe, slices, torch.device(device), watcher)
    else:
        watcher = Forecast.of_ladder(watcher, recipe)
        job, models = _own_models(run, recipe, slices, torch.device(device), watcher)
    scorer = train_verifier(job, models["chain-of-thought"], slices.train)
    models["chain-of-thought"] = models["chain-of-thought"].with_scorer(scorer)

    reinforced = None
    if recipe.reinforce.on:
        reinforced = reinforce(job, models["chain-of-thought"], slices.train)
    budget = Budget(recipe.sampling.samples)
    results = {}
    for name, problems in slices.tests().items():
        session = slice_session(job, name, problems, list(models.values()), reinforced)
        results[name] = climb(problems, session, registry.usual(session.has), budget)
    _write_results(job, results, budget, models["chain-of-thought"])
    write_report(run.path)
    return run


def _own_models(
    run: RunFolder, recipe: Recipe, slices: Slices, device: torch.device, progress: Progress
) -> tuple[Job, dict[str, LocalLLM]]:
    """Two models of Glassmind's own kind that differ only in their training data."""
    if recipe.start:
        tokenizer = load(recipe.start).tokenizer
        save(tokenizer, run.path / "tokenizer.json")
    else:
        tokenizer = run_tokenizer(run, recipe, slices.train)
    job = Job(run, recipe, tokenizer, device, progress)
    models = {}
    for stage, style in STYLES.items():
        make_rows = partial(training_rows, recipe, tokenizer, slices.train, style)
        held_out = validation_rows(recipe, tokenizer, slices.validation, style)
        model = train_language_model(job, stage, make_rows, held_out)
        models[stage] = stage_llm(job, stage, model)
    return job, models


def climb(
    problems: Sequence[Problem],
    session: Session,
    methods: Sequence[Method],
    budget: Budget,
    right: Right = same_answer,
) -> SliceResult:
    """Answer the problems with every one of ``methods``, and grade the answers."""
    solutions = {method.name: method.solve(problems, session, budget) for method in methods}
    graded = {name: verdicts(problems, found, right) for name, found in solutions.items()}
    return SliceResult(problems, session, solutions, graded)


def _write_results(
    job: Job, results: Mapping[str, SliceResult], budget: Budget, llm: LocalLLM
) -> None:
    path = job.run.path
    rows: list[LadderRow] = []
    by_steps: list[StepsRow] = []
    for name, result in results.items():
        for method in registry.methods():
            if method.name in result.verdicts:
                rows.append(ladder_row(method, name, result.verdicts))
                own = result.verdicts[method.name]
                by_steps += rows_by_steps(method, name, result.problems, own)
    test = results["test"]
    write_record(path / "by_steps.json", by_steps)
    write_record(path / "votes.json", rows_by_votes(test.problems, test.session, budget))
    write_record(path / "examples.json", examples(test.problems, test.solutions))
    (first, *_) = test.session.greedy(test.problems)
    seen = sharpest_head(llm, test.problems[0], first.completions[0])
    if seen is not None:
        write_record(path / "attention.json", seen)
    if llm.format == "question":
        write_record(path / "dependencies.json", dependencies(fresh_model(job), llm, test.problems))
    ladder = Ladder(
        schema=SCHEMA,
        recipe=job.recipe.name,
        commit=job.run.info().commit,
        seed=job.recipe.seed,
        rows=tuple(rows),
    )
    write_record(path / "ladder.json", ladder)


def finished_ladder(run: RunFolder) -> Ladder:
    """A finished run's ``ladder.json``.

    Raises:
        UserError: the run has not got that far, or the file is damaged.
    """
    path = run.path / "ladder.json"
    if not path.is_file():
        raise UserError(f"{run.path} has no ladder.json yet: go on with the run by --resume")
    return read_ladder(path)
