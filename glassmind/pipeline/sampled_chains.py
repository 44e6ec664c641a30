"""Chains that are sampled to be learned from: kept in the run's folder, chunk by chunk.

Sampling a training set can take longer than the training. Each chunk of problems is therefore saved
as soon as it is sampled, and a resumed run reads the chunks that there are. A chain's random
numbers depend on the run's seed and the problem's place, so it is the same in one process as in
several.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.records import Completion, Problem, Trace
from glassmind.runs.folder import RunFolder
from glassmind.runs.samples import load_traces, save_traces

CHUNK = 64
"""Problems that are sampled, and saved, at a time."""


def sampled_chunk(
    run: RunFolder,
    name: str,
    llm: LocalLLM,
    problems: Sequence[Problem],
    params: SamplingParams,
    first: int,
) -> list[Trace]:
    """A trace for each problem, sampled now or read from the file of that name.

    ``first`` is the number of problems in the chunks before.

    Raises:
        UserError: the file is damaged, or of other problems.
    """
    path = run.path / "samples" / f"{name}-{first:06d}.safetensors"
    if path.is_file():
        return load_traces(path, problems, llm.tokenizer, llm.style)
    traces = llm.sample(problems, params, llm.style, first=first)
    save_traces(path, traces)
    return traces


def chain_document(llm: LocalLLM, problem: Problem, chain: Completion) -> Document:
    """A question with one chain. What a tool wrote, or a rule forced, is read and not learned."""
    prompt = llm.prompt(problem.question, llm.style)
    written = [node.author == "model" for node in chain.nodes for _ in node.token_ids]
    learned = np.concatenate([np.zeros(len(prompt)), written]).astype(bool)
    return Document(np.array([*prompt, *chain.token_ids], np.int32), {COMPLETION: learned})
