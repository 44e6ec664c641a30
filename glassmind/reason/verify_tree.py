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
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from glassmind.grade.step_facts import step_facts
from glassmind.llm.local import LocalLLM
from glassmind.model import TokenScorer
from glassmind.reason.verify import Prompt
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
        for row in _rows(number, asked, trace, wanted[number], row_tokens):
            rows.append(_with_facts(row, problem, trace) if scorer.facts else row)
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
            probabilities = _read(scorer, rows[start:end], device)
        for row, beliefs in zip(rows[start:end], probabilities, strict=True):
            nodes = traces[row.problem].nodes
            for node, at in row.ends.items():
                name = OUTCOME if nodes[node].finish == "stop" else PROCESS
                scores[row.problem][node] = {name: float(beliefs[at])}
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
    ``lasts`` maps the nodes to their last tokens, and ``ends`` the wanted ones; ``read`` says how
    many tokens count for each node. ``facts`` are those about each token (``grade.step_facts``).
    """

    problem: int
    ids: list[int]
    positions: list[int]
    previous: list[int]
    sees: NDArray[np.bool_]
    lasts: dict[int, int]
    ends: dict[int, int]
    read: dict[int, int]
    facts: list[int]


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
    for index in members:
        node = trace.nodes[index]
        start, count, before = len(ids), len(node.token_ids), last[node.parent]
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
        lasts={node: last[node] for node in members},
        ends={node: last[node] for node in ends},
        read=read,
        facts=[0] * total,
    )


def _with_facts(row: _Row, problem: Problem, trace: Trace) -> _Row:
    """The row with what a program knows about each closed step and each end of a chain."""
    facts = list(row.facts)
    for node, at in row.lasts.items():
        one, chain = trace.nodes[node], Completion(trace, trace.path(node))
        if one.finish != "stop" and not (one.kind == "step" and one.closed):
            continue
        steps, end = step_facts(problem.question, chain.steps, chain.answer)
        facts[at] = end if one.finish == "stop" else steps[-1]
    return replace(row, facts=facts)


def _read(scorer: TokenScorer, rows: Sequence[_Row], device: torch.device) -> NDArray[np.float32]:
    """The probability at every token, one problem per row: (R, width)."""
    width = max(len(row.ids) for row in rows)
    shape = (len(rows), width)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    previous = np.tile(np.arange(width), (len(rows), 1))
    facts = np.zeros(shape, np.int64)
    hidden = np.full((*shape, width), -np.inf, np.float32)
    hidden[:, range(width), range(width)] = 0.0  # padding sees itself: no softmax over nothing
    for number, row in enumerate(rows):
        count = len(row.ids)
        ids[number, :count], positions[number, :count] = row.ids, row.positions
        previous[number, :count], facts[number, :count] = row.previous, row.facts
        hidden[number, :count, :count][row.sees] = 0.0
    scores, _ = scorer(
        torch.from_numpy(ids).to(device),
        positions_BT=torch.from_numpy(positions).to(device),
        previous_BT=torch.from_numpy(previous).to(device),
        mask=torch.from_numpy(hidden).to(device),
        facts_BT=torch.from_numpy(facts).to(device) if scorer.facts else None,
    )
    probabilities: NDArray[np.float32] = scores.float().sigmoid().cpu().numpy()
    return probabilities
