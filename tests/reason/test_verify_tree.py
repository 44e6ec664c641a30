"""Scores of nodes: those of the path alone, whatever is read beside it, and every token counted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from random_scorer import random_scorer

from glassmind.grade.chain_features import FEATURES
from glassmind.model import TokenScorer
from glassmind.reason.verify import score_traces
from glassmind.reason.verify_tree import score_nodes
from glassmind.records import OUTCOME, PROCESS, Node, Problem, Trace
from glassmind.tokenize import CharTokenizer, chain_nodes, encode_completion, encode_prompt
from glassmind.tokenize.special import STEP

TOKENIZER = CharTokenizer()
PROBLEMS = [Problem("p", "How many?", "3"), Problem("q", "And how many are left?", "4")]


@pytest.fixture(scope="module")
def scorer() -> TokenScorer:
    return random_scorer(TOKENIZER.vocab_size)


def random_tree(problem: Problem, seed: int) -> Trace:
    """A dozen steps, each below a random earlier one or the root, and answers below some."""
    rng = random.Random(seed)
    nodes: list[Node] = []
    for number in range(12):
        parent = rng.choice([None, *range(number)]) if number else None
        ids = [*TOKENIZER.encode(f"{rng.randint(1, 99)}+1"), TOKENIZER.special[STEP]]
        (node,) = chain_nodes(TOKENIZER, ids, "chain", finish="stop")
        nodes.append(replace(node, parent=parent, finish=None))
    for parent in rng.sample(range(12), 4):
        ids = encode_completion(TOKENIZER, [], str(rng.randint(1, 99)), "chain")
        (node,) = chain_nodes(TOKENIZER, ids, "chain", finish="stop")
        nodes.append(replace(node, parent=parent))
    return Trace(problem.id, tuple(nodes))


TREES = [random_tree(problem, seed) for seed, problem in enumerate(PROBLEMS)]
EVERY = [range(len(tree.nodes)) for tree in TREES]


def beliefs(trace: Trace, nodes: Sequence[int]) -> list[float]:
    return [next(iter(trace.nodes[node].scores.values())) for node in nodes]


def test_a_node_s_score_is_that_of_its_path_alone(scorer: TokenScorer) -> None:
    """Against one plain forward pass over the prompt and the path."""
    judged = score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, EVERY)
    for problem, tree, found in zip(PROBLEMS, TREES, judged, strict=True):
        prompt = encode_prompt(TOKENIZER, problem.question, "chain")
        for node in range(len(tree.nodes)):
            ids = [*prompt, *(i for at in tree.path(node) for i in tree.nodes[at].token_ids)]
            n = len(ids)
            with torch.no_grad():
                logits, _ = scorer(
                    torch.tensor([ids]),
                    positions_BT=torch.arange(n)[None],
                    previous_BT=torch.arange(-1, n - 1).clamp(min=0)[None],
                    mask=torch.ones(1, n, n, dtype=torch.bool).tril(),
                )
            name = OUTCOME if tree.nodes[node].finish == "stop" else PROCESS
            expected = float(logits[0, -1].sigmoid())
            assert found.nodes[node].scores == {name: pytest.approx(expected, abs=1e-5)}


def test_chains_are_scored_as_the_verifier_of_chains_does(scorer: TokenScorer) -> None:
    whole = score_traces(scorer, TOKENIZER, PROBLEMS, TREES)
    for trace, found in zip(whole, score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, EVERY),
                            strict=True):  # fmt: skip
        for chain, other in zip(trace.completions, found.completions, strict=True):
            assert other.step_scores == pytest.approx(chain.step_scores, abs=1e-5)
            if chain.finish == "stop":
                assert other.score == pytest.approx(chain.score, abs=1e-5)


def test_beliefs_are_weighed_as_those_of_whole_chains() -> None:
    told = random_scorer(TOKENIZER.vocab_size, FEATURES)
    torch.nn.init.normal_(told.weighing, generator=torch.Generator().manual_seed(0))
    problems = [replace(PROBLEMS[0], question="There are 3, and then 4 more. How many?")]
    chains = [["a: 3+4=7", "b: 7+4=11"], ["a: 3+4=7", "b: 7+7=15"], ["c: 9*3=27"]]
    nodes: list[Node] = []
    for chain, answer in zip(chains, ("11", "9", "27"), strict=True):
        ids = encode_completion(TOKENIZER, chain, answer, "chain")
        start = len(nodes)
        for node in chain_nodes(TOKENIZER, ids, "chain", finish="stop"):
            nodes.append(replace(node, parent=None if node.parent is None else node.parent + start))
    traces = [Trace("p", tuple(nodes))]
    (whole,) = score_traces(told, TOKENIZER, problems, traces)
    (found,) = score_nodes(told, TOKENIZER, problems, traces, [range(len(nodes))])
    for one, other in zip(whole.completions, found.completions, strict=True):
        assert other.step_scores == pytest.approx(one.step_scores, abs=1e-5)
        assert other.score == pytest.approx(one.score, abs=1e-5)


def test_scores_do_not_depend_on_what_is_read_together(scorer: TokenScorer) -> None:
    together = score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, EVERY)
    for row_tokens, batch_tokens in ((1, 1), (60, 200), (100, 10_000)):
        parts = score_nodes(
            scorer, TOKENIZER, PROBLEMS, TREES, EVERY,
            row_tokens=row_tokens, batch_tokens=batch_tokens,
        )  # fmt: skip
        for one, other, nodes in zip(together, parts, EVERY, strict=True):
            assert beliefs(other, nodes) == pytest.approx(beliefs(one, nodes), abs=1e-5)


def test_every_token_that_is_read_is_counted(scorer: TokenScorer) -> None:
    (tree, other) = TREES
    asked = [len(encode_prompt(TOKENIZER, p.question, "chain")) for p in PROBLEMS]
    leaf = max(range(len(tree.nodes)), key=lambda node: len(tree.path(node)))
    judged, unread = score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, [[leaf], []])
    read = [node.cost.judged_tokens for node in judged.nodes]
    path = tree.path(leaf)
    expected = [len(n.token_ids) * (at in path) for at, n in enumerate(tree.nodes)]
    expected[path[0]] += asked[0]
    assert read == expected
    assert unread == other
    # All nodes at once: the question and every node once. One row each: the path every time.
    length = sum(len(node.token_ids) for node in tree.nodes)
    (whole, _) = score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, EVERY)
    assert whole.cost.judged_tokens == asked[0] + length
    (apart, _) = score_nodes(scorer, TOKENIZER, PROBLEMS, TREES, EVERY, row_tokens=1)
    assert apart.cost.judged_tokens == sum(
        asked[0] + sum(len(tree.nodes[at].token_ids) for at in tree.path(node)) for node in EVERY[0]
    )
