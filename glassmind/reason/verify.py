"""Verification: a verifier's input, its training data, and its scores.

A verifier reads a question and the chains sampled for it, and gives the end of every step and of
every chain a probability of being right. The chains of one question are packed as branches of one
document, so the question is read once for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION, FACTS, LABEL
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.grade import check_steps, grade
from glassmind.grade.step_facts import step_facts
from glassmind.llm.local import LocalLLM
from glassmind.model import TokenScorer
from glassmind.records import OUTCOME, PROCESS, Completion, Cost, Problem, Trace
from glassmind.tokenize import Tokenizer, encode_prompt
from glassmind.train.batch import to_batch

Prompt = Callable[[str], Sequence[int]]
"""The prompt's ids for a question, as the model that wrote the chains was prompted."""


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


def chain_labels(problem: Problem, completion: Completion) -> list[tuple[int, float]]:
    """(token index in the completion, label) for the end of every step and of the chain.

    A step is right if it and all steps before it are legal moves towards the answer; if the
    problem's steps cannot be checked, only the chain's end is labelled. A chain is right if its
    answer is.
    """
    steps, end = _ends(completion)
    labels = []
    checks = check_steps(problem, completion.steps)
    for position, check in zip(steps, checks, strict=True):
        if check.valid is not None:
            labels.append((position, float(check.valid)))
    if end is not None:
        right = completion.answer is not None and grade(problem.answer, completion.answer)
        labels.append((end, float(right)))
    return labels


def chain_facts(problem: Problem, completion: Completion) -> list[tuple[int, int]]:
    """(token index in the completion, facts) for the end of every step and of the chain."""
    steps, end = _ends(completion)
    found, last = step_facts(problem.question, completion.steps, completion.answer)
    return [*zip(steps, found, strict=False), *([] if end is None else [(end, last)])]


def _ends(completion: Completion) -> tuple[list[int], int | None]:
    """The token indices at which each closed step ends, and the chain itself, if it ended."""
    steps, closing, at = [], set(completion.step_ends), -1
    for index in completion.path:
        at += len(completion.trace.nodes[index].token_ids)
        if index in closing:
            steps.append(at)
    return steps, at if completion.finish == "stop" and at >= 0 else None


def chains_document(
    tokenizer: Tokenizer,
    problem: Problem,
    completions: Sequence[Completion],
    *,
    with_labels: bool,
    prompt: Prompt | None = None,
) -> Document:
    """One question and its chains as one branching document.

    ``prompt`` encodes the question as the model was prompted; by default, in our own format. With
    labels, tokens of chains with the right answer are marked as completion, so that the language
    loss is trained on them.
    """
    if prompt is None:
        ids = encode_prompt(tokenizer, problem.question, "chain")
    else:
        ids = list(prompt(problem.question))
    branches = [0] * len(ids)
    labels = [float("nan")] * len(ids)
    facts = [0] * len(ids)
    imitate = [False] * len(ids)
    for number, completion in enumerate(completions, 1):
        start, length = len(ids), len(completion.token_ids)
        ids += completion.token_ids
        branches += [number] * length
        labels += [float("nan")] * length
        facts += [0] * length
        for position, found in chain_facts(problem, completion):
            facts[start + position] = found
        right = False
        if with_labels:
            for position, label in chain_labels(problem, completion):
                labels[start + position] = label
                right = label == 1.0
        imitate += [right] * length
    return Document(
        ids=np.array(ids, np.int32),
        columns={
            COMPLETION: np.array(imitate),
            LABEL: np.array(labels, np.float32),
            FACTS: np.array(facts, np.int64),
        },
        branches=np.array(branches, np.int16),
    )


def training_documents(
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    row_tokens: int,
    branches: int,
    *,
    prompt: Prompt | None = None,
) -> list[Document]:
    """Documents to train a verifier on: each problem's distinct chains, ``branches`` to a document.

    A chain sampled twice is kept once. Right and wrong chains alternate, and only documents with
    both are kept (unless there are none), because ranking needs both. Documents longer than a row
    lose chains until they fit.
    """
    mixed_documents: list[Document] = []
    documents: list[Document] = []
    for problem, trace in zip(problems, traces, strict=True):
        distinct = list({c.token_ids: c for c in trace.completions if c.finish == "stop"}.values())
        right = [c for c in distinct if c.answer is not None and grade(problem.answer, c.answer)]
        kept = {c.sample for c in right}
        wrong = [c for c in distinct if c.sample not in kept]
        dealt = _alternate(right, wrong)
        for start in range(0, len(dealt), branches):
            members = dealt[start : start + branches]
            document = chains_document(tokenizer, problem, members, with_labels=True, prompt=prompt)
            while len(document) > row_tokens and len(members) > 1:
                members = members[:-1]
                document = chains_document(
                    tokenizer, problem, members, with_labels=True, prompt=prompt
                )
            if len(document) <= row_tokens:
                verdicts = {c.sample in kept for c in members}
                (mixed_documents if len(verdicts) == 2 else documents).append(document)
    return mixed_documents or documents


def _alternate(first: list[Completion], second: list[Completion]) -> list[Completion]:
    """The elements of both lists in turn, then the rest of the longer one."""
    short = min(len(first), len(second))
    mixed = [c for pair in zip(first, second, strict=False) for c in pair]
    return mixed + first[short:] + second[short:]


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
    judged: list[_Judgements] = [{} for _ in problems]
    prompts: list[dict[tuple[int, ...], int]] = [{} for _ in problems]
    scorer.eval()
    start = 0
    while start < len(pieces):
        end = start + 1
        while end < len(pieces) and (end + 1 - start) * len(pieces[end][2]) <= batch_tokens:
            end += 1
        batch = pieces[start:end]
        with torch.inference_mode():
            probabilities = _read(scorer, [piece[2] for piece in batch], tokenizer, device)
        for read, (number, members, document) in zip(probabilities, batch, strict=True):
            assert document.branches is not None
            at = int((document.branches == 0).sum())
            prompts[number][members[0].token_ids] = at
            for completion in members:
                tokens = read[at : at + len(completion.token_ids)]
                judged[number][completion.token_ids] = _judged(completion, tokens)
                at += len(completion.token_ids)
        start = end
        if progress is not None:
            progress(start, len(pieces))
    seconds = time.perf_counter() - started
    each = seconds / max(1, sum(len(document) for _, _, document in pieces))
    return [
        _with_scores(trace, judgements, read, each)
        for trace, judgements, read in zip(traces, judged, prompts, strict=True)
    ]


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
) -> np.ndarray:
    """The probability at every token, one document per row: (documents, width)."""
    width = max(len(document) for document in documents)
    rows = [pack([document], width, tokenizer.special.get("<|pad|>", 0)) for document in documents]
    batch = to_batch(PackedRows.join(rows), device)
    scores, _ = scorer(
        batch.ids,
        positions_BT=batch.positions,
        previous_BT=batch.previous,
        mask=batch.mask,
        facts_BT=batch[FACTS] if scorer.facts else None,
    )
    probabilities: np.ndarray = scores.float().sigmoid().cpu().numpy()
    return probabilities


def _judged(completion: Completion, probabilities: np.ndarray) -> tuple[tuple[float, ...], float]:
    steps, end = _ends(completion)
    judged = tuple(float(probabilities[position]) for position in steps)
    return judged, 0.0 if end is None else float(probabilities[end])


def verify_function(model: object) -> Verify:
    """The function that scores chains of ``model``, with the prompt that the model was given."""
    if isinstance(model, LocalLLM):
        return partial(score_traces, prompt=lambda question: model.prompt(question, "chain"))
    return score_traces
