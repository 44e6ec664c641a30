"""Verification: the scores of a verifier.

A verifier reads a question and the chains sampled for it, and gives the end of every step and of
every chain a probability of being right. What it reads, and what it learns from, is made in
``verifier_documents``; what a program knows of the chains is weighed in by ``weighing``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch

from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.grade.chain_features import Floats, prefix_features
from glassmind.llm.local import LocalLLM
from glassmind.model import TokenScorer
from glassmind.reason.verifier_documents import (
    Prompt,
    chain_ends,
    chain_labels,
    chains_document,
)
from glassmind.reason.weighing import fit, probability
from glassmind.records import OUTCOME, PROCESS, Completion, Cost, Problem, Trace
from glassmind.tokenize import Tokenizer
from glassmind.train.batch import to_batch


class Verify(Protocol):
    """Scores traces with a verifier: ``score_traces``, or a function that runs elsewhere."""

    def __call__(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Trace]: ...


def score_traces(
    scorer: TokenScorer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    *,
    prompt: Prompt | None = None,
    document_tokens: int = 320,
    batch_tokens: int = 16_384,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """The traces with the verifier's judgement of every closed step and of every leaf.

    Equal chains of a problem are read once, and counted once in ``Cost.judged_tokens``. Chains are
    read in groups, each after the question, whose tokens are counted for the group's first chain.
    The wall-clock time is divided by the tokens read. A chain that never ended scores 0.
    """
    started = time.perf_counter()
    judged: list[_Judgements] = [{} for _ in problems]
    prompts: list[dict[tuple[int, ...], int]] = [{} for _ in problems]
    total = 0
    for one in _readings(
        scorer, tokenizer, problems, traces, prompt, document_tokens, batch_tokens, progress
    ):
        total += one.tokens
        prompts[one.problem][one.members[0].token_ids] = one.prompt_tokens
        question = problems[one.problem].question
        for chain, read in zip(one.members, one.read, strict=True):
            judged[one.problem][chain.token_ids] = chain_beliefs(scorer, question, chain, read)
    seconds = time.perf_counter() - started
    each = seconds / max(1, total)
    return [
        _with_scores(trace, judgements, read, each)
        for trace, judgements, read in zip(traces, judged, prompts, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Reading:
    """Some chains of one problem, and what the scorer read in each: its logits and the
    log-probabilities of the chain's tokens (2, T)."""

    problem: int
    members: Sequence[Completion]
    read: Sequence[Floats]
    prompt_tokens: int
    tokens: int


def _readings(
    scorer: TokenScorer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    prompt: Prompt | None,
    document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[_Reading]:
    """Every distinct chain once, the shortest documents first."""
    device = next(scorer.parameters()).device
    pieces: list[tuple[int, list[Completion], Document]] = []
    for number, (problem, trace) in enumerate(zip(problems, traces, strict=True)):
        distinct = list({c.token_ids: c for c in trace.completions if c.token_ids}.values())
        for members in _bounded(distinct, document_tokens):
            document = chains_document(
                tokenizer, problem, members, with_labels=False, prompt=prompt
            )
            pieces.append((number, members, document))
    pieces.sort(key=lambda piece: len(piece[2]))
    scorer.eval()
    start = 0
    while start < len(pieces):
        end = start + 1
        while end < len(pieces) and (end + 1 - start) * len(pieces[end][2]) <= batch_tokens:
            end += 1
        batch = pieces[start:end]
        with torch.inference_mode():
            rows = _read(scorer, [piece[2] for piece in batch], tokenizer, device)
        for row, (number, members, document) in zip(rows, batch, strict=True):
            assert document.branches is not None
            asked = int((document.branches == 0).sum())
            ends = asked + np.cumsum([len(chain.token_ids) for chain in members])
            read = np.split(row[:, asked : ends[-1]], ends[:-1] - asked, axis=1)
            yield _Reading(number, members, read, asked, len(document))
        start = end
        if progress is not None:
            progress(start, len(pieces))


def fit_weighing(
    scorer: TokenScorer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    *,
    prompt: Prompt | None = None,
) -> None:
    """Set ``scorer.weighing`` by chains that the judge has not learned from (``weighing``).

    Of equal chains of a problem one counts. Without a labelled step, or a chain that ended, the
    judge's logit stays as it is.
    """
    assert scorer.weighing is not None
    of_steps: list[tuple[Floats, float]] = []
    of_chains: list[tuple[Floats, float]] = []
    for one in _readings(scorer, tokenizer, problems, traces, prompt, 320, 16_384):
        problem = problems[one.problem]
        for chain, read in zip(one.members, one.read, strict=True):
            steps, end = chain_ends(chain)
            rows = weighing_inputs(problem.question, chain, read)
            row_at = dict(zip([*steps, end], rows, strict=False))
            for at, label in chain_labels(problem, chain):
                (of_chains if at == end else of_steps).append((row_at[at], label))
    for row, examples in zip(scorer.weighing.data, (of_steps, of_chains), strict=True):
        if examples:
            inputs, labels = (np.array(column) for column in zip(*examples, strict=True))
            row.copy_(torch.from_numpy(fit(inputs, labels)))


def _bounded(chains: Sequence[Completion], limit: int) -> Iterator[list[Completion]]:
    """Groups of chains with about ``limit`` tokens; attention is quadratic in a group's tokens."""
    group: list[Completion] = []
    size = 0
    for chain in chains:
        if group and size + len(chain.token_ids) > limit:
            yield group
            group, size = [], 0
        group.append(chain)
        size += len(chain.token_ids)
    if group:
        yield group


_Judgements = dict[tuple[int, ...], tuple[tuple[float, ...], float]]
"""A chain's ids -> the verifier's probabilities at the ends of its steps, and at its own end."""


def _with_scores(
    trace: Trace,
    judged: _Judgements,
    prompts: Mapping[tuple[int, ...], int],
    seconds_per_token: float,
) -> Trace:
    """``prompts`` holds the number of the question's tokens for each chain read with it."""
    scores: dict[int, dict[str, float]] = {}
    read: dict[int, int] = {}
    seen = set()
    for completion in trace.completions:
        step_scores, score = judged.get(completion.token_ids, ((), 0.0))
        for index, value in zip(completion.step_ends, step_scores, strict=True):
            scores.setdefault(index, {})[PROCESS] = value
        scores.setdefault(completion.path[-1], {})[OUTCOME] = score
        if completion.token_ids in judged and completion.token_ids not in seen:
            seen.add(completion.token_ids)
            for index in completion.path:  # a shared node is read again with each of its chains
                read[index] = read.get(index, 0) + len(trace.nodes[index].token_ids)
            read[completion.path[0]] += prompts.get(completion.token_ids, 0)
    costs = {
        index: Cost(judged_tokens=tokens, seconds=tokens * seconds_per_token)
        for index, tokens in read.items()
    }
    return trace.with_scores(scores, costs)


def _read(
    scorer: TokenScorer,
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    device: torch.device,
) -> Floats:
    """The judge's logit and the log-probability of every token, one document per row: (documents,
    2, width)."""
    width = max(len(document) for document in documents)
    rows = [pack([document], width, tokenizer.special.get("<|pad|>", 0)) for document in documents]
    batch = to_batch(PackedRows.join(rows), device)
    scores, logprobs = scorer(
        batch.ids,
        positions_BT=batch.positions,
        previous_BT=batch.previous,
        mask=batch.mask,
    )
    read: Floats = torch.stack((scores.float(), logprobs.float()), 1).double().cpu().numpy()
    return read


def chain_beliefs(
    scorer: TokenScorer, question: str, chain: Completion, read: Floats
) -> tuple[tuple[float, ...], float]:
    """The verifier's probability at the end of every closed step and of the chain; 0 for a chain
    that did not end.

    ``read`` (2, T) are the judge's logit and the log-probability of the chain's tokens.
    """
    steps, end = chain_ends(chain)
    if scorer.weighing is None:
        ends = [*steps, *([] if end is None else [end])]
        beliefs = torch.from_numpy(read[0][ends]).float().sigmoid().tolist()
    else:
        of_step, of_chain = scorer.weighing.detach().double().cpu().numpy()
        inputs = weighing_inputs(question, chain, read)
        beliefs = [
            *probability(inputs[: len(steps)], of_step).tolist(),
            *probability(inputs[len(steps) :], of_chain).tolist(),
        ]
    return tuple(beliefs[: len(steps)]), 0.0 if end is None else beliefs[-1]


def weighing_inputs(question: str, chain: Completion, read: Floats) -> Floats:
    """The judge's logit and the features (``grade.chain_features``) at the end of every closed
    step, and of the chain if it ended: (ends, 1 + F)."""
    steps, end = chain_ends(chain)
    features = prefix_features(question, chain.steps, chain.answer, read[1], steps, end)
    ends = [*steps, *([] if end is None else [end])]
    return np.column_stack([read[0][ends], features])


def verify_function(model: object) -> Verify:
    """The function that scores chains of ``model``, with the prompt that the model was given."""
    if isinstance(model, LocalLLM):
        return partial(score_traces, prompt=lambda question: model.prompt(question, "chain"))
    return score_traces
