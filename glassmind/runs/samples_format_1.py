"""Samples as earlier versions stored them: ids, log-probabilities and scores of chains.

Texts were not stored; they are decoded from the ids. This format is only read, never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.records import OUTCOME, PROCESS, Problem, Trace
from glassmind.tokenize import Style, Tokenizer, chain_nodes


def traces_of_format_1(
    tensors: Mapping[str, NDArray[Any]],
    path: Path,
    problems: Sequence[Problem],
    tokenizer: Tokenizer,
    style: Style,
) -> list[Trace]:
    """The chains of these ``problems`` in ``tensors``, which were read from ``path``.

    Raises:
        UserError: the file is damaged or was written for other problems.
    """
    if not _consistent(tensors, len(problems)):
        raise UserError(f"{path} holds samples of other problems: delete it to sample again")
    counts, lengths = tensors["counts"], tensors["lengths"]
    ends = np.cumsum(lengths)
    step_ends = np.cumsum(tensors["step_counts"]) if "scores" in tensors else None
    traces = []
    at = 0
    for problem, count in zip(problems, counts, strict=True):
        chains = []
        step_scores: list[tuple[float, ...]] = []
        scores: list[float] = []
        for _ in range(int(count)):
            here = slice(int(ends[at] - lengths[at]), int(ends[at]))
            chains.append(
                chain_nodes(
                    tokenizer,
                    tensors["ids"][here].tolist(),
                    style,
                    finish="stop" if tensors["stopped"][at] else "length",
                    logprobs=tensors["logprobs"][here].tolist(),
                )
            )
            if step_ends is not None:
                last = int(step_ends[at])
                first = last - int(tensors["step_counts"][at])
                scores.append(float(tensors["scores"][at]))
                step_scores.append(tuple(tensors["step_scores"][first:last].tolist()))
            at += 1
        trace = Trace.of_chains(problem.id, chains)
        traces.append(_scored(trace, step_scores, scores))
    return traces


def _scored(trace: Trace, step_scores: Sequence[Sequence[float]], scores: Sequence[float]) -> Trace:
    found: dict[int, dict[str, float]] = {}
    for completion, process, outcome in zip(trace.completions, step_scores, scores, strict=False):
        for index, value in zip(completion.step_ends, process, strict=False):
            found.setdefault(index, {})[PROCESS] = value
        found.setdefault(completion.path[-1], {})[OUTCOME] = outcome
    return trace.with_scores(found, {})


def _consistent(tensors: Mapping[str, NDArray[Any]], n_problems: int) -> bool:
    """Whether all tensors of a file belong together, and to that many problems."""
    if not tensors.keys() >= {"counts", "lengths", "ids", "logprobs", "stopped"}:
        return False
    n_chains, n_tokens = int(tensors["counts"].sum()), int(tensors["lengths"].sum())
    sizes = {"counts": n_problems, "lengths": n_chains, "stopped": n_chains}
    sizes |= {"ids": n_tokens, "logprobs": n_tokens}
    if "scores" in tensors:
        if not tensors.keys() >= {"step_scores", "step_counts"}:
            return False
        n_steps = int(tensors["step_counts"].sum())
        sizes |= {"scores": n_chains, "step_counts": n_chains, "step_scores": n_steps}
    return all(len(tensors[name]) == size for name, size in sizes.items())
