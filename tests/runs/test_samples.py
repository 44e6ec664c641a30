"""Completions on disk: what comes back is what was written."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glassmind.errors import UserError
from glassmind.records import Completion, Problem
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.samples import load_completions, save_completions
from glassmind.tokenize import CharTokenizer, Style, encode_completion, parse_completion

TOKENIZER = CharTokenizer()
PROBLEMS = [Problem(f"p{n}", "How many?", "3") for n in range(3)]


def make(problem: Problem, sample: int, ids: list[int], style: Style, finish: str) -> Completion:
    rng = random.Random(f"{problem.id} {sample}")
    parsed = parse_completion(TOKENIZER, ids, style)
    logprobs = tuple(float(np.float32(-rng.random())) for _ in ids)
    return Completion(problem.id, sample, tuple(ids), logprobs, parsed.steps, parsed.answer, finish)


def some(style: Style) -> list[list[Completion]]:
    """Different numbers of samples, of steps and of tokens; one was cut off, one is not text."""
    rows: list[list[Completion]] = []
    for problem in PROBLEMS:
        row = []
        for sample in range(2 + PROBLEMS.index(problem)):
            steps = [f"a: {n}+1={n + 1}" for n in range(sample)]
            ids = encode_completion(TOKENIZER, steps, str(sample), style)
            row.append(make(problem, sample, ids, style, "stop"))
        row.append(make(problem, len(row), ids[:-1], style, "length"))
        row.append(make(problem, len(row), [200, 3, 6], style, "stop"))
        rows.append(row)
    return rows


def scored(rows: list[list[Completion]]) -> list[list[Completion]]:
    rng = np.random.default_rng(0)
    return [
        [
            replace(
                c,
                score=float(np.float32(rng.random())),
                step_scores=tuple(float(np.float32(rng.random())) for _ in c.steps),
            )
            for c in row
        ]
        for row in rows
    ]


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_completions_come_back(style: Style, tmp_path: Path) -> None:
    path = tmp_path / "samples" / "test.safetensors"
    rows = some(style)
    save_completions(path, rows)
    assert load_completions(path, PROBLEMS, TOKENIZER, style) == rows


def test_scores_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    rows = scored(some("chain"))
    save_completions(path, rows)
    assert load_completions(path, PROBLEMS, TOKENIZER, "chain") == rows


def test_scores_without_a_single_step_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    row = [replace(c, score=0.5) for c in some("chain")[0] if not c.steps]
    save_completions(path, [row])
    found = load_completions(path, PROBLEMS[:1], TOKENIZER, "chain")[0]
    assert [replace(c, sample=0) for c in found] == [replace(c, sample=0) for c in row]


def test_no_problem_at_all(tmp_path: Path) -> None:
    save_completions(tmp_path / "none.safetensors", [])
    assert load_completions(tmp_path / "none.safetensors", [], TOKENIZER, "chain") == []


def test_samples_of_other_problems_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_completions(path, some("chain"))
    with pytest.raises(UserError, match="samples of other problems: delete it to sample again"):
        load_completions(path, PROBLEMS[:2], TOKENIZER, "chain")


def test_damaged_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_completions(path, some("chain"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(UserError, match="damaged"):
        load_completions(path, PROBLEMS, TOKENIZER, "chain")
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        load_completions(path, PROBLEMS, TOKENIZER, "chain")


@pytest.mark.parametrize("lost", ["counts", "logprobs", "stopped", "step_counts", "rows"])
def test_a_foreign_file_of_tensors_is_refused(lost: str, tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_completions(path, scored(some("chain")))
    tensors = load_tensors(path)
    if lost == "rows":
        tensors["counts"] = tensors["counts"] + 1
    else:
        del tensors[lost]
    save_tensors({name: torch.clone(t) for name, t in tensors.items()}, path)
    with pytest.raises(UserError):
        load_completions(path, PROBLEMS, TOKENIZER, "chain")
