"""From groups to packed rows: a question with its completions as the branches of one document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.errors import UserError
from glassmind.pipeline.rollouts.groups import Group
from glassmind.records import Completion
from glassmind.train.objectives.grpo import (
    ADVANTAGE,
    FIRST_PASS,
    NOT_SAMPLED,
    OLD_LOGPROB,
    SAMPLED_LOGPROB,
)

COLUMNS = (COMPLETION, ADVANTAGE, SAMPLED_LOGPROB, OLD_LOGPROB, FIRST_PASS)

Member = tuple[Completion, float, int]
"""A completion, its advantage, and the number of its first token."""


def sampled_logprobs(completion: Completion) -> list[float]:
    """The log-probability with which each token was drawn."""
    return [value for node in completion.nodes for value in node.sampled_logprobs]


def learned(completion: Completion, mask_truncated: bool) -> list[bool]:
    """Which tokens are learned: not what a tool wrote, nor, if asked for, what was cut off."""
    if mask_truncated and completion.finish == "length":
        return [False] * len(completion.token_ids)
    return [node.author == "model" for node in completion.nodes for _ in node.token_ids]


def rows_of_groups(
    groups: Sequence[Group],
    advantages_QG: NDArray[np.float64],
    row_tokens: int,
    least_rows: int,
    *,
    mask_truncated: bool = False,
) -> PackedRows:
    """The groups as rows of ``row_tokens``, at least ``least_rows`` of them.

    In ``FIRST_PASS``, tokens of completions are numbered in the order of groups, completions and
    tokens. A group that does not fit into a row is divided into documents.

    Raises:
        UserError: no completion has a token.
    """
    documents: list[Document] = []
    number = 0
    for group, advantages_G in zip(groups, advantages_QG, strict=True):
        members: list[Member] = []
        length = len(group.prompt)
        for completion, advantage in zip(group.completions, advantages_G, strict=True):
            n_tokens = len(completion.token_ids)
            if members and length + n_tokens > row_tokens:
                documents.append(_document(group.prompt, members, mask_truncated))
                members, length = [], len(group.prompt)
            if n_tokens:
                members.append((completion, float(advantage), number))
                length += n_tokens
                number += n_tokens
        if members:
            documents.append(_document(group.prompt, members, mask_truncated))
    if not documents:
        raise UserError(
            f"none of the completions of {len(groups)} questions has a token: the questions leave "
            "no room in the model's context"
        )
    rows = pack(documents, row_tokens, pad_id=0)
    if len(rows) < least_rows:
        rows = PackedRows.join([rows, *[_empty(rows)] * (least_rows - len(rows))])
    numbers = rows[FIRST_PASS]
    numbers[numbers < 0] = NOT_SAMPLED
    return rows


def _document(prompt: Sequence[int], members: Sequence[Member], mask_truncated: bool) -> Document:
    completions = [completion for completion, _, _ in members]
    lengths = [len(completion.token_ids) for completion in completions]
    none = np.zeros(len(prompt))
    written = [x for completion in completions for x in learned(completion, mask_truncated)]
    drawn = [x for completion in completions for x in sampled_logprobs(completion)]
    numbers = [n for (_, _, first), length in zip(members, lengths, strict=True)
               for n in range(first, first + length)]  # fmt: skip

    def along(values: Sequence[float]) -> NDArray[Any]:
        """A value for each token: 0 in the prompt, then each completion's."""
        return np.concatenate([none, np.repeat(values, lengths)])

    own = np.concatenate([none, written]).astype(bool)
    return Document(
        ids=np.array([*prompt, *(t for c in completions for t in c.token_ids)], np.int32),
        columns={
            COMPLETION: own,
            ADVANTAGE: along([advantage for _, advantage, _ in members]),
            SAMPLED_LOGPROB: np.concatenate([none, drawn]),
            OLD_LOGPROB: np.concatenate([none, drawn]),
            FIRST_PASS: np.where(own, np.concatenate([none, numbers]), -1).astype(np.int64),
        },
        branches=along(range(1, len(members) + 1)).astype(np.int16),
    )


def _empty(rows: PackedRows) -> PackedRows:
    """One row of padding, for a process that would get none."""
    blank = rows.take(slice(0, 1)).each(np.zeros_like)
    own = np.arange(rows.ids.shape[1], dtype=np.int32)[None]
    columns = {column: column.filled(blank.ids.shape) for column in rows.columns}
    return PackedRows(
        blank.ids, blank.documents, blank.branches, blank.positions, own, columns=columns
    )
