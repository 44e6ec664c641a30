"""Completions on disk: what comes back is what was written."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from glassmind.errors import UserError
from glassmind.records import OUTCOME, PROCESS, Finish, Node, Problem, Trace
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.samples import load_traces, save_traces
from glassmind.tokenize import CharTokenizer, Style, chain_nodes, encode_completion

TOKENIZER = CharTokenizer()
PROBLEMS = [Problem(f"p{n}", "How many?", "3") for n in range(3)]


def make(problem: Problem, sample: int, ids: list[int], style: Style, finish: Finish) -> list[Node]:
    rng = random.Random(f"{problem.id} {sample}")
    logprobs = [float(np.float32(-rng.random())) for _ in ids]
    return chain_nodes(TOKENIZER, ids, style, finish=finish, logprobs=logprobs)


def some(style: Style) -> list[Trace]:
    """Different numbers of samples, of steps and of tokens; one was cut off, one is not text."""
    traces = []
    for problem in PROBLEMS:
        row = []
        for sample in range(2 + PROBLEMS.index(problem)):
            steps = [f"a: {n}+1={n + 1}" for n in range(sample)]
            ids = encode_completion(TOKENIZER, steps, str(sample), style)
            row.append(make(problem, sample, ids, style, "stop"))
        row.append(make(problem, len(row), ids[:-1], style, "length"))
        row.append(make(problem, len(row), [200, 3, 6], style, "stop"))
        traces.append(Trace.of_chains(problem.id, row))
    return traces


def scored(traces: list[Trace]) -> list[Trace]:
    rng = np.random.default_rng(0)
    judged = []
    for trace in traces:
        scores: dict[int, dict[str, float]] = {}
        for c in trace.completions:
            for index in c.step_ends:
                scores.setdefault(index, {})[PROCESS] = float(np.float32(rng.random()))
            scores.setdefault(c.path[-1], {})[OUTCOME] = float(np.float32(rng.random()))
        judged.append(trace.with_scores(scores, {}))
    return judged


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_completions_come_back(style: Style, tmp_path: Path) -> None:
    path = tmp_path / "samples" / "test.safetensors"
    rows = some(style)
    save_traces(path, rows)
    assert load_traces(path, PROBLEMS, TOKENIZER, style) == rows


def test_scores_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    rows = scored(some("chain"))
    save_traces(path, rows)
    assert load_traces(path, PROBLEMS, TOKENIZER, "chain") == rows


def test_scores_without_a_single_step_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    bare = [list(c.nodes) for c in some("chain")[0].completions if not c.steps]
    (trace,) = scored([Trace.of_chains(PROBLEMS[0].id, bare)])
    save_traces(path, [trace])
    assert load_traces(path, PROBLEMS[:1], TOKENIZER, "chain") == [trace]


def test_no_problem_at_all(tmp_path: Path) -> None:
    save_traces(tmp_path / "none.safetensors", [])
    assert load_traces(tmp_path / "none.safetensors", [], TOKENIZER, "chain") == []


def test_samples_of_other_problems_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, some("chain"))
    with pytest.raises(UserError, match="samples of other problems: delete it to sample again"):
        load_traces(path, PROBLEMS[:2], TOKENIZER, "chain")


def test_damaged_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, some("chain"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(UserError, match="damaged"):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")


@pytest.mark.parametrize("lost", ["counts", "logprobs", "stopped", "step_counts", "rows"])
def test_a_foreign_file_of_tensors_is_refused(lost: str, tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, scored(some("chain")))
    tensors = load_tensors(path)
    if lost == "rows":
        tensors["counts"] = tensors["counts"] + 1
    else:
        del tensors[lost]
    save_tensors({name: torch.clone(t) for name, t in tensors.items()}, path)
    with pytest.raises(UserError):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")
