"""What a verifier is shown, what it learns from, and that its scores do not depend on company."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_scorer import random_scorer

from glassmind.data.batches.columns import COMPLETION, LABEL
from glassmind.grade.chain_features import FEATURES
from glassmind.grade.step_facts import FACTS
from glassmind.model import TokenScorer
from glassmind.reason.verifier_documents import (
    chain_labels,
    chains_document,
    training_documents,
)
from glassmind.reason.verify import fit_weighing, score_traces
from glassmind.records import Completion, Finish, Problem, Step, Trace
from glassmind.tokenize import (
    CharTokenizer,
    chain_nodes,
    encode_completion,
    encode_prompt,
)

TOKENIZER = CharTokenizer()
END, STEP = TOKENIZER.special["<|end|>"], TOKENIZER.special["<|step|>"]
PROBLEM = Problem(
    "p0",
    "Mia has 3 boxes of 12 pencils. She gives 6 away. How many are left?",
    "30",
    (
        Step("pencils: 3*12=36", "*", ("3", "12"), "36", (None, None), "pencils"),
        Step("left: 36-6=30", "-", ("36", "6"), "30", (0, None), "left"),
    ),
)
UNCHECKED = Problem("p1", "How many legs?", "8", (Step("two spiders? no, one"),))

RIGHT = (["pencils: 3*12=36", "left: 36-6=30"], "30")
SWAPPED = (["pencils: 12*3=36", "left: 36-6=30"], "30")
SLIP = (["pencils: 3*12=35", "left: 35-6=29"], "29")
LATE_SLIP = (["pencils: 3*12=36", "left: 36-6=31"], "31")
LUCKY = (["pencils: 3+12=15", "left: 15*2=30"], "30")


def completion(
    said: tuple[Sequence[str], str], sample: int = 0, problem: Problem = PROBLEM
) -> Completion:
    ids = encode_completion(TOKENIZER, said[0], said[1], "chain")
    return from_ids(ids, sample, problem)


def from_ids(ids: Sequence[int], sample: int = 0, problem: Problem = PROBLEM) -> Completion:
    finish: Finish = "stop" if END in ids else "length"
    nodes = chain_nodes(TOKENIZER, ids, "chain", finish=finish, logprobs=(-0.5,) * len(ids))
    return replace(Trace.of_chains(problem.id, [nodes]).completions[0], sample=sample)


def trace(row: Sequence[Completion]) -> Trace:
    return Trace.of_chains(row[0].problem_id, [c.nodes for c in row])


# ------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        (RIGHT, [1, 1, 1]),
        (SWAPPED, [1, 1, 1]),
        (SLIP, [0, 0, 0]),
        (LATE_SLIP, [1, 0, 0]),
        (LUCKY, [0, 0, 1]),  # the answer is right, the way to it is not
        ((["pencils: 3*12=36"], "30"), [1, 1]),
        (([], "30"), [1]),
        (([], "thirty"), [0]),
    ],
)
def test_labels_stand_at_ends(said: tuple[list[str], str], labels: list[int]) -> None:
    one = completion(said)
    found = chain_labels(PROBLEM, one)
    assert [label for _, label in found] == labels
    ends = [i for i, token in enumerate(one.token_ids) if token in (STEP, END)]
    assert [position for position, _ in found] == ends


def test_where_steps_cannot_be_checked_only_the_end_is_labelled() -> None:
    one = completion((["one spider has 8 legs"], "8"), problem=UNCHECKED)
    assert chain_labels(UNCHECKED, one) == [(len(one.token_ids) - 1, 1.0)]


def test_a_chain_that_never_ends_has_no_last_label() -> None:
    cut = from_ids(completion(RIGHT).token_ids[:-2])
    assert [label for _, label in chain_labels(PROBLEM, cut)] == [1.0, 1.0]


# ---------------------------------------------------------------------------------- documents


def test_a_document_is_the_question_once_and_every_chain() -> None:
    members = [completion(RIGHT, 0), completion(SLIP, 1), completion(LUCKY, 2)]
    document = chains_document(TOKENIZER, PROBLEM, members, with_labels=True)
    prompt = encode_prompt(TOKENIZER, PROBLEM.question, "chain")
    assert document.branches is not None
    assert document.ids[document.branches == 0].tolist() == prompt
    assert not document[COMPLETION][document.branches == 0].any()
    assert np.isnan(document[LABEL][document.branches == 0]).all()
    for number, (member, right) in enumerate(zip(members, (True, False, True), strict=True), 1):
        here = document.branches == number
        assert document.ids[here].tolist() == list(member.token_ids)
        assert (document[COMPLETION][here] == right).all()  # what is worth imitating
        found = [(i, x) for i, x in enumerate(document[LABEL][here].tolist()) if not math.isnan(x)]
        assert found == chain_labels(PROBLEM, member)
    bare = chains_document(TOKENIZER, PROBLEM, members, with_labels=False)
    assert np.isnan(bare[LABEL]).all()
    assert not bare[COMPLETION].any()


def wrong(n: int) -> tuple[list[str], str]:
    return ([f"pencils: 3*12={n}"], str(n))


def right(n: int) -> tuple[list[str], str]:
    return (["pencils: 3*12=36", f"note: {n}+0={n}", "left: 36-6=30"], "30")


def test_right_and_wrong_chains_alternate() -> None:
    row = [completion(said, i) for i, said in enumerate([wrong(n) for n in range(1, 6)])]
    row += [completion(right(n), 5 + n) for n in range(3)]
    row.append(completion(wrong(1), 8))  # sampled twice: kept once
    row.append(from_ids(completion(RIGHT).token_ids[:9], 9))  # never ended
    documents = training_documents(TOKENIZER, [PROBLEM], [trace(row)], 2000, branches=4)
    outcomes = []
    for document in documents:
        assert document.branches is not None
        labels = [
            document[LABEL][document.branches == b][-1]
            for b in range(1, document.branches.max() + 1)
        ]
        outcomes.append(labels)
    assert outcomes == [[1, 0, 1, 0], [1, 0, 0, 0]]


def test_documents_without_a_choice_are_left_out() -> None:
    """Unless there is nothing else to learn from."""
    all_wrong = [completion(wrong(n), n) for n in range(3)]
    mixed = [*all_wrong, completion(RIGHT, 3)]
    one = training_documents(TOKENIZER, [PROBLEM], [trace(all_wrong)], 2000, branches=4)
    assert len(one) == 1
    both = training_documents(
        TOKENIZER, [PROBLEM] * 2, [trace(all_wrong), trace(mixed)], 2000, branches=4
    )
    assert len(both) == 1
    assert len(both[0]) > len(one[0])


def test_documents_fit_their_row() -> None:
    row = [completion(wrong(n), n) for n in range(6)] + [
        completion(right(n), 6 + n) for n in range(6)
    ]
    prompt = len(encode_prompt(TOKENIZER, PROBLEM.question, "chain"))
    longest = max(len(c.token_ids) for c in row)
    limit = prompt + 2 * longest
    documents = training_documents(TOKENIZER, [PROBLEM], [trace(row)], limit, branches=6)
    assert len(documents) == 2
    for document in documents:
        assert document.branches is not None
        assert len(document) <= limit
        assert document.branches.max() >= 2
    assert training_documents(TOKENIZER, [PROBLEM], [trace(row)], prompt + 3, branches=6) == []


def test_problems_do_not_mix() -> None:
    other = completion((["legs: 4*2=8"], "8"), problem=UNCHECKED)
    documents = training_documents(
        TOKENIZER,
        [PROBLEM, UNCHECKED],
        [trace([completion(RIGHT)]), trace([other])],
        500,
        branches=4,
    )
    assert len(documents) == 2
    assert documents[1].ids.tolist()[-len(other.token_ids) :] == list(other.token_ids)


# ------------------------------------------------------------------------------------- scores


@pytest.fixture(scope="module")
def scorer() -> TokenScorer:
    return random_scorer(TOKENIZER.vocab_size)


ROWS = [
    [
        completion(RIGHT, 0),
        completion(SLIP, 1),
        completion(RIGHT, 2),
        completion(LUCKY, 3),
        from_ids(completion(LATE_SLIP).token_ids[:-1], 4),
    ],
    [completion((["legs: 4*2=8"], "8"), 0, UNCHECKED), completion(([], "9"), 1, UNCHECKED)],
]


TRACES = [trace(row) for row in ROWS]


def numbers(traces: Sequence[Trace]) -> list[float]:
    return [x for t in traces for c in t.completions for x in (*c.step_scores, c.score or 0.0)]


def test_scores_do_not_depend_on_the_grouping(scorer: TokenScorer) -> None:
    problems = [PROBLEM, UNCHECKED]
    together = score_traces(scorer, TOKENIZER, problems, TRACES)
    for document_tokens, batch_tokens in ((1, 1), (60, 200), (10_000, 1), (1, 10_000)):
        again = score_traces(
            scorer,
            TOKENIZER,
            problems,
            TRACES,
            document_tokens=document_tokens,
            batch_tokens=batch_tokens,
        )
        assert numbers(again) == pytest.approx(numbers(together), abs=1e-5)
    alone = [
        score_traces(scorer, TOKENIZER, [problem], [trace([c])])[0]
        for problem, row in zip(problems, ROWS, strict=True)
        for c in row
    ]
    assert numbers(alone) == pytest.approx(numbers(together), abs=1e-5)
    turned = score_traces(
        scorer, TOKENIZER, problems[::-1], [trace(row[::-1]) for row in ROWS[::-1]]
    )
    back = [trace(t.completions[::-1]) for t in turned[::-1]]
    assert numbers(back) == pytest.approx(numbers(together), abs=1e-5)


def test_scores_stand_beside_the_steps(scorer: TokenScorer) -> None:
    calls: list[tuple[int, int]] = []
    scored = score_traces(
        scorer,
        TOKENIZER,
        [PROBLEM, UNCHECKED],
        TRACES,
        progress=lambda done, total: calls.append((done, total)),
    )
    for found, before in zip(scored, ROWS, strict=True):
        for c, original in zip(found.completions, before, strict=True):
            assert (c.token_ids, c.sample, c.answer) == (
                original.token_ids,
                original.sample,
                original.answer,
            )
            assert len(c.step_scores) == len(c.steps)
            assert c.score is not None
            assert all(0 < s < 1 for s in c.step_scores)
    first = scored[0].completions
    assert first[0].score == first[2].score  # the same chain, read once
    asked = len(encode_prompt(TOKENIZER, PROBLEM.question, "chain"))
    assert first[0].cost.judged_tokens == asked + len(first[0].token_ids)
    assert first[1].cost.judged_tokens == len(first[1].token_ids)  # the question is read already
    assert first[2].cost.judged_tokens == 0
    each = {
        node.cost.seconds / node.cost.judged_tokens
        for t in scored
        for node in t.nodes
        if node.cost.judged_tokens
    }
    assert max(each) == pytest.approx(min(each)) and min(each) > 0
    assert first[4].score == 0.0  # it never ended
    assert 0 < (first[0].score or 0) < 1
    assert calls[-1][0] == calls[-1][1]


def test_scores_are_the_scorer_s_own(scorer: TokenScorer) -> None:
    """Against one plain forward over prompt and chain."""
    one = ROWS[0][0]
    prompt = encode_prompt(TOKENIZER, PROBLEM.question, "chain")
    ids = torch.tensor([[*prompt, *one.token_ids]])
    n = ids.shape[1]
    with torch.no_grad():
        logits, _ = scorer(
            ids,
            positions_BT=torch.arange(n)[None],
            previous_BT=torch.arange(-1, n - 1).clamp(min=0)[None],
            mask=torch.ones(1, n, n, dtype=torch.bool).tril(),
        )
    chances = logits.sigmoid()[0, len(prompt) :]
    scored = score_traces(scorer, TOKENIZER, [PROBLEM], [trace([one])])[0].completions[0]
    ends = [i for i, token in enumerate(one.token_ids) if token == STEP]
    assert scored.step_scores == pytest.approx([float(chances[i]) for i in ends], abs=1e-5)
    assert scored.score == pytest.approx(float(chances[-1]), abs=1e-5)


# ---------------------------------------------------------------------- weighed against facts


def test_an_unfitted_weighing_leaves_the_judge_s_belief(scorer: TokenScorer) -> None:
    plain = score_traces(scorer, TOKENIZER, [PROBLEM], TRACES[:1])
    told = random_scorer(TOKENIZER.vocab_size, FEATURES)
    same = score_traces(told, TOKENIZER, [PROBLEM], TRACES[:1])
    for one, other in zip(plain[0].completions, same[0].completions, strict=True):
        assert other.step_scores == pytest.approx(one.step_scores, abs=1e-6)
        assert other.score == pytest.approx(one.score, abs=1e-6)


def test_a_fitted_weighing_believes_the_facts() -> None:
    """The judge guesses, and the chains are wrong exactly where an equation is false."""
    told = random_scorer(TOKENIZER.vocab_size, FEATURES)
    slips = [completion((["pencils: 3*12=36", f"left: 36-6={n}"], str(n))) for n in (29, 31, 28)]
    learned = [trace([completion(RIGHT), completion(SWAPPED), *slips])] * 4
    fit_weighing(told, TOKENIZER, [PROBLEM] * 4, learned)
    unseen = [completion((["pencils: 3*12=36", "left: 36-6=32"], "32")), completion(RIGHT)]
    (found,) = score_traces(told, TOKENIZER, [PROBLEM], [trace(unseen)])
    wrong, right = found.completions
    assert wrong.score < 0.3 < 0.7 < right.score
    assert wrong.step_scores[1] < 0.3 < 0.7 < right.step_scores[1]
    assert wrong.step_scores[0] == pytest.approx(right.step_scores[0], abs=1e-6)


def test_a_weighing_needs_something_to_learn_from() -> None:
    told = random_scorer(TOKENIZER.vocab_size, FEATURES)
    before = told.weighing.clone()
    fit_weighing(told, TOKENIZER, [PROBLEM], [trace([from_ids(completion(RIGHT).token_ids[:4])])])
    assert torch.equal(told.weighing, before)
    assert len(FACTS) * 2 + 3 == FEATURES
