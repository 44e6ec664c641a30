"""Pass@k of two models on the same problems, from stored samples where there are some."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.coverage import SCHEMA, Coverage, coverage_points
from glassmind.llm import LLM
from glassmind.pipeline.evaluate import with_task_prompt
from glassmind.pipeline.frontier import asked_questions, right_chains, sizes
from glassmind.pipeline.tasks.registry import require_answer_task
from glassmind.progress import Progress
from glassmind.runs.recipe import SamplingConfig


def measure_coverage(
    task: str,
    before: LLM,
    after: LLM,
    *,
    limit: int = 0,
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Coverage:
    """Pass@1, 2, 4, ... of ``before`` and ``after`` on ``task``, with ``sampling.samples`` chains
    of each problem (those of ``after`` by default). Chains are kept in ``store``.

    Raises:
        UserError: there is no such task, or fewer than two problems.
    """
    config = sampling or after.default_sampling
    # The problems of a task such as "validation" depend on the model: both get those of ``after``.
    questions = asked_questions(task, after, limit)
    n = len(questions.problems)
    if n < 2:
        raise UserError(f"{task} has {n} problems, and a comparison needs at least two")
    if questions.right is not None:
        raise UserError(
            f"the problems of {task} have many right answers, which --before cannot grade: choose "
            "another task"
        )
    prompt = require_answer_task(task)[0].prompt
    counts = []
    for asked in (replace(questions, llm=with_task_prompt(before, prompt)), questions):
        session = asked.session(config, seed, store, progress)
        traces = session.samples(asked.problems, config.samples)
        counts.append(
            [
                (len(trace.completions), right_chains(problem, trace))
                for problem, trace in zip(asked.problems, traces, strict=True)
            ]
        )
    most = min(chains for each in counts for chains, _ in each)
    points = coverage_points(counts[0], counts[1], sizes(most))
    return Coverage(
        SCHEMA,
        before.name,
        after.name,
        task,
        n,
        most,
        config.temperature,
        seed,
        tuple(points),
    )
