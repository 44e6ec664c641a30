"""What a verifier reads and learns: labels of steps, and chains as branches of one document.

The chains of one question are packed as branches of one document, so the question is read once for
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glassmind.data.batches.columns import COMPLETION, LABEL
from glassmind.data.batches.packing import Document
from glassmind.grade import check_steps, grade
from glassmind.records import Completion, Problem, Trace
from glassmind.tokenize import Tokenizer, encode_prompt

Prompt = Callable[[str], Sequence[int]]
"""The prompt's ids for a question, as the model that wrote the chains was prompted."""


def chain_labels(problem: Problem, completion: Completion) -> list[tuple[int, float]]:
    """(token index in the completion, label) for the end of every step and of the chain.

    A step is right if it and all steps before it are legal moves towards the answer; if the
    problem's steps cannot be checked, only the chain's end is labelled. A chain is right if its
    answer is.
    """
    steps, end = chain_ends(completion)
    labels = []
    checks = check_steps(problem, completion.steps)
    for position, check in zip(steps, checks, strict=True):
        if check.valid is not None:
            labels.append((position, float(check.valid)))
    if end is not None:
        right = completion.answer is not None and grade(problem.answer, completion.answer)
        labels.append((end, float(right)))
    return labels


def chain_ends(completion: Completion) -> tuple[list[int], int | None]:
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
    imitate = [False] * len(ids)
    for number, completion in enumerate(completions, 1):
        start, length = len(ids), len(completion.token_ids)
        ids += completion.token_ids
        branches += [number] * length
        labels += [float("nan")] * length
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
