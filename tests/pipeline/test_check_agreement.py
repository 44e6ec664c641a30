"""The row that every sampling leaves in the metrics, and what happens above the bound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import glassmind
from glassmind.errors import UserError
from glassmind.evaluate.run_files import read_metrics
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM, as_llm
from glassmind.pipeline.stages import SCORED_AGAIN, Job, check_agreement
from glassmind.progress import Silent
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe, SamplingConfig

PROBLEMS = [
    Problem(str(n), f"Tom has {n} boxes of 3 eggs. How many eggs has he?", str(3 * n))
    for n in range(2, 14)
]


class Remembering(Silent):
    """Keeps what a stage leaves behind."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def end(self, summary: str = "") -> None:
        self.said.append(summary)


def job(folder: Path, sampling: SamplingConfig, progress: Remembering) -> Job:
    loaded = glassmind.load()
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    recipe = replace(Recipe(), sampling=sampling)
    return Job(run, recipe, loaded.tokenizer, torch.device("cpu"), progress)


def test_a_row_a_warning_and_a_stop(tmp_path: Path) -> None:
    llm = as_llm(None)
    assert isinstance(llm, LocalLLM)
    progress = Remembering()
    quiet = job(tmp_path, SamplingConfig(), progress)
    params = SamplingParams(12, samples=2, seed=1)
    traces = llm.sample(PROBLEMS, params, "chain")
    for _ in range(2):  # done again after a kill, it is still one row
        check_agreement(quiet, "sample tests", llm, PROBLEMS, traces, "chain")
    metrics = read_metrics(tmp_path / "metrics.jsonl")
    assert metrics is not None
    [row] = metrics
    assert row.stage == "sample tests"
    difference = row.engine_trainer_logprob_diff
    assert difference is not None
    assert difference.tokens == sum(len(t.completions[0].token_ids) for t in traces[:SCORED_AGAIN])
    assert 0 < difference.max < 1e-3
    assert not progress.said

    strict = SamplingConfig(most_logprob_diff=1e-9)
    check_agreement(job(tmp_path, strict, progress), "s", llm, PROBLEMS, traces, "chain")
    [said] = progress.said
    assert "most_logprob_diff" in said
    strict = replace(strict, on_logprob_diff="stop")
    with pytest.raises(UserError, match="on_logprob_diff"):
        check_agreement(job(tmp_path, strict, progress), "s", llm, PROBLEMS, traces, "chain")
