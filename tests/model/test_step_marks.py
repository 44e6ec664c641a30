"""Segments and roles of packed rows against ``step_structure``, one chain after the other."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.data.batches.packing import Document, pack
from glassmind.model.masks import flow, inductive
from glassmind.model.step_marks import StepMarks, kind_table, read_marks
from glassmind.step_structure import START, Role, advance, read_steps
from tests.step_models import KINDS, a_chain, a_prompt

TABLE = kind_table(KINDS)

Ids = st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=12)


@settings(max_examples=40)
@given(st.lists(st.tuples(Ids, st.lists(Ids, max_size=3)), min_size=1, max_size=3))
def test_packed_and_branching_rows_equal_the_definition(
    trees: list[tuple[list[int], list[list[int]]]],
) -> None:
    documents = []
    for prompt, branches in trees:
        numbers = [0] * len(prompt) + [n for n, b in enumerate(branches, 1) for _ in b]
        ids = [*prompt, *(i for branch in branches for i in branch)]
        documents.append(Document(np.array(ids, np.int32), branches=np.array(numbers, np.int16)))
    rows = pack(documents, 64, 0)
    ids_BT, previous_BT = (
        torch.from_numpy(part.astype(np.int64)) for part in (rows.ids, rows.previous)
    )
    marks = read_marks(ids_BT, TABLE, previous_BT)
    for b in range(len(rows)):
        states = []
        for t in range(64):
            before = rows.previous[b, t]
            state = advance(START if before == t else states[before], KINDS[rows.ids[b, t]])
            states.append(state)
            got = (marks.segment[b, t], marks.role[b, t], marks.position[b, t])
            assert tuple(map(int, got)) == (state.segment, state.role, state.position)


def test_masks_equal_the_loop() -> None:
    rng = np.random.default_rng(0)
    ids = [*a_prompt(rng), *a_chain(rng, 3)]
    states = read_steps("".join(KINDS[i] for i in ids))
    marks = read_marks(torch.tensor([ids]), TABLE, (torch.arange(len(ids)) - 1).clamp(min=0)[None])
    seen = {
        name: make(marks.segment, marks.role).dense(1, len(ids))[0]
        for name, make in (("flow", flow), ("inductive", inductive))
    }
    for q, query in enumerate(states):
        for kv, key in enumerate(states):
            in_question, own = key.segment == 0, key.segment == query.segment
            concluded = key.role in (Role.RESULT, Role.CLOSING)
            expected = kv <= q and (in_question or own or concluded)
            assert bool(seen["flow"][q, kv]) == expected
            expected |= kv <= q and key.segment == query.segment - 1
            assert bool(seen["inductive"][q, kv]) == expected


def test_marks_of_some_tokens() -> None:
    marks = StepMarks(*torch.arange(18).view(3, 2, 3))
    assert marks.at(torch.tensor([2])).role.tolist() == [[8], [11]]
    assert marks.at(torch.tensor([[0, 1], [2, 2]])).segment.tolist() == [[0, 1], [5, 5]]
