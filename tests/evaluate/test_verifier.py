"""Figures of verifiers, held against plain enumeration."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from glassmind.evaluate.verifier.chains import ChainTable, chain_table
from glassmind.evaluate.verifier.choosing import CEILING, RULES, choices, gained
from glassmind.evaluate.verifier.facts_alone import scored_by_facts
from glassmind.evaluate.verifier.first_error import first_error_score
from glassmind.evaluate.verifier.picture import choosing_picture, reliability_picture
from glassmind.evaluate.verifier.quality import verifier_quality
from glassmind.evaluate.verifier.rollout_labels import RolledStep, label_errors, roll_out
from glassmind.generate import SamplingParams
from glassmind.llm.opening import open_local
from glassmind.reason.vote import SHARPNESS
from glassmind.records import Node, Problem, Step, Trace
from glassmind.tokenize import chain_nodes, encode_completion

QUESTION = "Mia has 3 boxes of 12 pencils. She gives 6 away. How many pencils are left?"


def table(keys: str, right: str, outcome: list[float]) -> ChainTable:
    """A made-up problem: a letter for each chain's answer (``-``: none) and the right letter."""
    n = len(keys)
    return ChainTable(
        keys=tuple(None if key == "-" else key for key in keys),
        right=np.array([key == right for key in keys]),
        logprob=np.linspace(-1, -2, n),
        outcome=np.array(outcome),
        steps=tuple((score, score / 2) for score in outcome),
        valid=tuple((True, key == right) for key in keys),
    )


TABLES = [
    table("aab-", "b", [0.2, 0.3, 0.9, 0.99]),
    table("abca", "a", [0.7, 0.8, 0.1, 0.6]),
    table("aaaa", "a", [0.5, 0.6, 0.7, 0.8]),
    table("bbcc", "a", [0.5, 0.6, 0.7, 0.8]),
]


def enumerated(found: ChainTable, rule: str, n: int) -> float:
    """The share of all subsets of n chains on which a rule is right."""
    hits = []
    for subset in itertools.combinations(range(len(found)), n):
        answered = [i for i in subset if found.keys[i] is not None]
        if rule == CEILING:
            hits.append(any(found.right[i] for i in subset))
        elif rule == "best by outcome":
            best = max(answered, key=lambda i: found.outcome[i], default=None)
            hits.append(best is not None and bool(found.right[best]))
    return sum(hits) / len(hits)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_best_of_n_and_the_ceiling_are_means_over_all_subsets(n: int) -> None:
    at = {choice.rule: choice for choice in choices(TABLES, [n], draws=2)}
    for rule in ("best by outcome", CEILING):
        assert at[rule].per_problem == pytest.approx([enumerated(t, rule, n) for t in TABLES])


def test_votes_on_all_chains_are_exact() -> None:
    at = {choice.rule: choice.per_problem for choice in choices(TABLES, [4])}
    assert at["majority"] == (0, 1, 1, 0)
    odds = [(p / (1 - p)) ** SHARPNESS for p in (0.2, 0.3, 0.9)]
    assert odds[2] > odds[0] + odds[1]
    assert at["verifier vote"] == (1, 1, 1, 0)
    assert at["best by lowest step"] == (1, 0, 1, 0)
    assert set(at) == {rule.name for rule in RULES} | {CEILING}


def test_a_vote_on_some_chains_is_near_its_mean() -> None:
    exact = []
    for subset in itertools.combinations("abca", 3):
        exact.append(subset.count("a") == 2 or (subset.count("a") == 1 and subset[0] == "a"))
    [vote] = [c for c in choices(TABLES[1:2], [3], draws=400) if c.rule == "majority"]
    assert vote.accuracy == pytest.approx(sum(exact) / len(exact), abs=0.1)
    again = [c for c in choices(TABLES[1:2], [3], draws=400) if c.rule == "majority"]
    assert again == [vote]


def test_the_share_of_the_distance() -> None:
    at = {choice.rule: choice for choice in choices(TABLES, [4])}
    assert gained(at["verifier vote"], at["majority"], at[CEILING]) == 1.0
    assert gained(at["majority"], at["majority"], at[CEILING]) == 0.0
    assert gained(at["majority"], at[CEILING], at[CEILING]) is None


@pytest.mark.parametrize("sizes", [[0], [5]])
def test_more_chains_than_there_are(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="from 1 to 4"):
        choices(TABLES, sizes)
    with pytest.raises(ValueError, match="no problems"):
        choices([], [1])


def test_quality_by_hand() -> None:
    quality = verifier_quality(TABLES)
    assert quality.mixed == 2
    # b (0.9) above both a's and below the chain without an answer; then 0.7, 0.6 against 0.8, 0.1
    assert quality.within is not None
    assert quality.within[0] == pytest.approx((2 / 3 + 2 / 4) / 2)
    scores = np.concatenate([t.outcome for t in TABLES])
    right = np.concatenate([t.right for t in TABLES]).astype(float)
    assert quality.outcome.brier == pytest.approx(((scores - right) ** 2).mean())
    assert quality.outcome.share == pytest.approx(right.mean())
    assert sum(found.n for found in quality.outcome.bins) == 16
    assert quality.steps is not None and quality.steps.n == 32
    error = quality.first_error
    assert error is not None and error.erroneous + error.correct == 16
    # Of right chains, those whose two steps both have a half or more: 0.9, and none below 1.
    assert error.cleared == 0


def test_first_error_f1() -> None:
    score = first_error_score([1, 2, 0, -1, -1], [1, None, 1, None, 3])
    assert (score.found, score.erroneous, score.cleared, score.correct) == (1, 3, 1, 2)
    assert score.f1 == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert first_error_score([0], [None]).f1 == 0
    assert first_error_score([], []).f1 == 0


def test_chains_become_a_table() -> None:
    problem = Problem("p", "3 boxes of 12, 6 go", "30", (
        Step("3*12=36", "*", ("3", "12"), "36", (None, None)),
        Step("36-6=30", "-", ("36", "6"), "30", (0, None)),
    ))  # fmt: skip
    chains = []
    for steps, answer in (
        (("3*12=36", "36-6=30"), "30"),
        (("3*12=36", "36+6=42"), "42"),
        ((), None),
    ):
        nodes = [Node(None, "step", s, scores={"process": 0.5}) for s in steps]
        leaf = Node(
            None, "answer", str(answer), finish="stop", answer=answer, scores={"outcome": 0.25}
        )
        chains.append([*nodes, leaf])
    found = chain_table(problem, Trace.of_chains("p", chains))
    assert found.keys == ("30", "42", None)
    assert found.right.tolist() == [True, False, False]
    assert found.valid == ((True, True), (True, False), ())
    assert found.steps == ((0.5, 0.5), (0.5, 0.5), ())
    with pytest.raises(ValueError, match="not been scored"):
        chain_table(problem, Trace.of_chains("p", [[Node(None, "answer", "3", answer="3")]]))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_rollout_labels_are_means_over_all_choices(k: int) -> None:
    steps = [RolledStep(True, 3, 4), RolledStep(True, 0, 4), RolledStep(False, 1, 4)]
    hard, soft = [], []
    for step in steps:
        reached = [1] * step.reached + [0] * (4 - step.reached)
        subsets = list(itertools.combinations(reached, k))
        hard.append(np.mean([any(s) != step.valid for s in subsets]))
        soft.append(np.mean([(sum(s) / k >= 0.5) != step.valid for s in subsets]))
    found = label_errors(steps, k)
    assert found.right_as_wrong == pytest.approx(np.mean(hard[:2]))
    assert found.wrong_as_right == pytest.approx(hard[2])
    assert found.wrong_labels == pytest.approx(np.mean(hard))
    assert found.soft_wrong == pytest.approx(np.mean(soft))
    assert found.soft_error == pytest.approx((0.25 + 1 + 0.25) / 3)
    with pytest.raises(ValueError, match="some steps have fewer"):
        label_errors(steps, 5)
    with pytest.raises(ValueError, match="both right and wrong"):
        label_errors(steps[:2], k)


def test_facts_alone_are_fitted_on_the_other_half() -> None:
    """Chains that are wrong exactly where an equation is false: the regression finds that out."""
    problem = Problem("p", "3 boxes of 12, 6 go", "30")
    said = [(("3*12=36", "36-6=30"), "30"), (("3*12=36", "36-6=31"), "31")]
    chains = [
        [
            *(Node(None, "step", s, logprobs=(-0.5,)) for s in steps),
            Node(None, "answer", answer, (5,), (-0.1,), finish="stop", answer=answer,
                 scores={"outcome": 0.5}),
        ]
        for steps, answer in said
    ]  # fmt: skip
    traces = [Trace.of_chains("p", chains)] * 8
    tables = [chain_table(problem, trace) for trace in traces]
    scored = scored_by_facts([problem] * 8, traces, tables)
    for found in scored:
        assert found.outcome[0] > 0.7 > 0.3 > found.outcome[1]
        assert found.steps == ((), ())
    # A half whose labels are turned round only changes what the other half is told.
    turned = [replace(t, right=~t.right) if n % 2 else t for n, t in enumerate(tables)]
    mixed = scored_by_facts([problem] * 8, traces, turned)
    assert mixed[0].outcome[0] < 0.3 < 0.7 < mixed[1].outcome[0]


def test_rollouts_begin_at_the_steps() -> None:
    llm = open_local()
    problem = Problem("p", QUESTION, "30", (
        Step("pencils: 3*12=36", "*", ("3", "12"), "36", (None, None)),
        Step("left: 36-6=30", "-", ("36", "6"), "30", (0, None)),
    ))  # fmt: skip
    chains = []
    for steps in (["pencils: 3*12=36", "left: 36-6=30"], ["pencils: 3*12=36", "left: 36+6=42"]):
        ids = encode_completion(llm.tokenizer, steps, steps[-1].split("=")[1], "chain")
        chains.append(chain_nodes(llm.tokenizer, ids, "chain", finish="stop"))
    trace = Trace.of_chains("p", [*chains, chains[0]])
    rolled = roll_out(llm, [problem], [trace], SamplingParams(40, 0.8, samples=3, seed=1))
    # The first step is shared, and the third chain was sampled before.
    assert [(step.valid, step.rollouts) for step in rolled] == [(True, 3), (True, 3), (False, 3)]
    assert rolled[1].reached == 3  # nothing is left but to say the answer
    assert rolled[2].reached == 0
    with pytest.raises(ValueError, match="our own format"):
        roll_out(replace(llm, format="text"), [problem], [trace], SamplingParams(4))


def test_pictures() -> None:
    quality = verifier_quality(TABLES)
    drawn = reliability_picture(quality.outcome, quality.steps)
    assert drawn.startswith("<svg") and "calibration error" in drawn
    assert len(re.findall("<title>", drawn)) == len(quality.outcome.bins) + len(
        quality.steps.bins if quality.steps else ()
    )
    curves = choosing_picture(choices(TABLES, [1, 2, 4]))
    assert curves.count("tone-") == len(RULES) + 1
