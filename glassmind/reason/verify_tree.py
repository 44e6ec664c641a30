"""Verification of the nodes of a tree: every token of a problem's paths is read once a call.

``verify`` scores whole chains. A search asks about single nodes, the steps that it has just grown,
whose paths share most of their tokens. All paths of a problem are one row, in which a token sees
the question, the nodes above its own, and its own node up to itself:

    question | s1 | s2 s3 |      s2 and s3 continue s1 and do not see each other

Positions count along a path, so every path is read as if it stood alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from glassmind.grade.chain_features import Floats
from glassmind.llm.local import LocalLLM
from glassmind.model import TokenScorer
from glassmind.reason.verifier_documents import Prompt
from glassmind.reason.verify import chain_beliefs
from glassmind.records import OUTCOME, PROCESS, Completion, Cost, Problem, Trace
from glassmind.tokenize import Tokenizer, encode_prompt

ROW_TOKENS = 512
"""About how many tokens of one problem are read together; attention is quadratic in them."""


class VerifyNodes(Protocol):
    """Scores nodes with a verifier: ``score_nodes``, or a function that runs elsewhere."""

    def __call__(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        wanted: Sequence[Sequence[int]],
    ) -> list[Trace]: ...


def score_nodes(
    scorer: TokenScorer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    wanted: Sequence[Sequence[int]],
    *,
    prompt: Prompt | None = None,
    row_tokens: int = ROW_TOKENS,
    batch_tokens: int = 16_384,
) -> list[Trace]:
    """The traces with the verifier's judgement of the ``wanted`` nodes of each.

    A node that ends a chain gets an ``OUTCOME``, any other a ``PROCESS`` score: the probability at
    its last token. Every token that is read counts as judged, in the node it belongs to; those of
    the question count in the first node. Paths that do not fit into a row of about ``row_tokens``
    are read in several, each with the question and the nodes that it needs.
    """
    started = time.perf_counter()
    device = next(scorer.parameters()).device
    rows: list[_Row] = []
    for number, (problem, trace) in enumerate(zip(problems, traces, strict=True)):
        asked = _asked(tokenizer, problem, prompt)
        rows += _rows(number, asked, trace, wanted[number], row_tokens)
    rows.sort(key=lambda row: len(row.ids))
    scores: list[dict[int, dict[str, float]]] = [{} for _ in traces]
    read: list[dict[int, int]] = [{} for _ in traces]
    scorer.eval()
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and (end + 1 - start) * len(rows[end].ids) <= batch_tokens:
            end += 1
        with torch.inference_mode():
            read_tokens = _read(scorer, rows[start:end], device)
        for row, tokens in zip(rows[start:end], read_tokens, strict=True):
            trace, question = traces[row.problem], problems[row.problem].question
            for node in row.wanted:
                path = trace.path(node)
                at = [place for index in path for place in row.places[index]]
                chain = Completion(trace, path)
                name = OUTCOME if chain.finish == "stop" else PROCESS
                belief = _belief(scorer, question, chain, tokens[:, at])
                scores[row.problem][node] = {name: belief}
            for node, tokens in row.read.items():
                read[row.problem][node] = read[row.problem].get(node, 0) + tokens
        start = end
    each = (time.perf_counter() - started) / max(1, sum(len(row.ids) for row in rows))
    return [
        trace.with_scores(
            scores[number],
            {
                node: Cost(judged_tokens=tokens, seconds=tokens * each)
                for node, tokens in read[number].items()
            },
        )
        for number, trace in enumerate(traces)
    ]


def tokens_to_read(trace: Trace, wanted: Sequence[int], row_tokens: int = ROW_TOKENS) -> int:
    """How many tokens ``score_nodes`` reads for these nodes of a trace with its ``prompt_cost``."""
    asked = [0] * trace.prompt_cost.prompt_tokens
    return sum(len(row.ids) for row in _rows(0, asked, trace, wanted, row_tokens))


def verify_nodes_function(model: object) -> VerifyNodes:
    """The function that scores nodes of ``model``, with the prompt that the model was given."""
    if isinstance(model, LocalLLM):
        return partial(score_nodes, prompt=lambda question: model.prompt(question, "chain"))
    return score_nodes


@dataclass(frozen=True)
class _Row:
    """T tokens of one problem: the question and some nodes of its tree.

    ``sees`` (T, T) says which tokens each may attend to, and ``previous`` which token predicts it.
    ``places`` are the indices of each node's tokens, ``wanted`` the nodes to judge, and ``read``
    says how many tokens count for each node.
    """

    problem: int
    ids: list[int]
    positions: list[int]
    previous: list[int]
    sees: NDArray[np.bool_]
    places: dict[int, range]
    wanted: tuple[int, ...]
    read: dict[int, int]


def _asked(tokenizer: Tokenizer, problem: Problem, prompt: Prompt | None) -> list[int]:
    if prompt is None:
        return encode_prompt(tokenizer, problem.question, "chain")
    return list(prompt(problem.question))


def _rows(
    number: int, asked: list[int], trace: Trace, wanted: Sequence[int], limit: int
) -> Iterator[_Row]:
    """The rows that hold the paths to the ``wanted`` nodes."""
    members: set[int] = set()
    ends: list[int] = []
    for node in wanted:
        if not trace.nodes[node].token_ids:
            continue  # nothing to read
        path = set(trace.path(node))
        size = sum(len(trace.nodes[index].token_ids) for index in members | path)
        if ends and len(asked) + size > limit:
            yield _row(number, asked, trace, sorted(members), ends)
            members, ends = set(), []
        members |= path
        ends.append(node)
    if ends:
        yield _row(number, asked, trace, sorted(members), ends)


def _row(
    number: int, asked: list[int], trace: Trace, members: Sequence[int], ends: Sequence[int]
) -> _Row:
    """One row; ``members`` are in the order of the trace, parents before their children."""
    ids, positions = list(asked), list(range(len(asked)))
    previous = [max(0, at - 1) for at in positions]
    total = len(asked) + sum(len(trace.nodes[index].token_ids) for index in members)
    sees = np.zeros((total, total), bool)
    sees[: len(asked), : len(asked)] = np.tri(len(asked), dtype=bool)
    last: dict[int | None, int] = {None: len(asked) - 1}
    places = {}
    for index in members:
        node = trace.nodes[index]
        start, count, before = len(ids), len(node.token_ids), last[node.parent]
        places[index] = range(start, start + count)
        if not count:
            last[index] = before
            continue
        here = slice(start, start + count)
        sees[here, : before + 1] = sees[before, : before + 1]
        sees[here, here] = np.tri(count, dtype=bool)
        ids += node.token_ids
        positions += range(positions[before] + 1, positions[before] + 1 + count)
        previous += [before, *range(start, start + count - 1)]
        last[index] = start + count - 1
    read = {index: len(trace.nodes[index].token_ids) for index in members}
    read[members[0]] += len(asked)
    return _Row(
        problem=number,
        ids=ids,
        positions=positions,
        previous=previous,
        sees=sees,
        places=places,
        wanted=tuple(ends),
        read=read,
    )


def _belief(scorer: TokenScorer, question: str, chain: Completion, read: Floats) -> float:
    """The verifier's probability at the last token of a path; of an open step, the judge's own."""
    steps, end = chain_beliefs(scorer, question, chain, read)
    if chain.finish == "stop":
        return end
    if chain.step_ends and chain.step_ends[-1] == chain.path[-1]:
        return steps[-1]
    return float(torch.tensor(read[0, -1]).float().sigmoid())


def _read(scorer: TokenScorer, rows: Sequence[_Row], device: torch.device) -> Floats:
    """The judge's logit and the log-probability of every token, one problem per row: (R, 2,
    width)."""
    width = max(len(row.ids) for row in rows)
    shape = (len(rows), width)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    previous = np.tile(np.arange(width), (len(rows), 1))
    hidden = np.full((*shape, width), -np.inf, np.float32)
    hidden[:, range(width), range(width)] = 0.0  # padding sees itself: no softmax over nothing
    for number, row in enumerate(rows):
        count = len(row.ids)
        ids[number, :count], positions[number, :count] = row.ids, row.positions
        previous[number, :count] = row.previous
        hidden[number, :count, :count][row.sees] = 0.0
    scores, logprobs = scorer(
        torch.from_numpy(ids).to(device),
        positions_BT=torch.from_numpy(positions).to(device),
        previous_BT=torch.from_numpy(previous).to(device),
        mask=torch.from_numpy(hidden).to(device),
    )
    read: Floats = torch.stack((scores.float(), logprobs.float()), 1).double().cpu().numpy()
    return read
