"""A completion as nodes: every token in one node, every node by one author."""

from __future__ import annotations

import random

import pytest

from glassmind.records import Trace
from glassmind.tokenize import CharTokenizer, chain_nodes, encode_completion, parse_completion
from glassmind.tokenize.reasoning import Style

TOKENIZER = CharTokenizer()


def test_a_chain_is_a_node_for_each_step_and_one_for_the_answer() -> None:
    ids = encode_completion(TOKENIZER, ["a: 1+2=3", "b: 3*4=12"], "12", "chain")
    logprobs = [-float(n) for n in range(len(ids))]
    nodes = chain_nodes(TOKENIZER, ids, "chain", finish="stop", logprobs=logprobs)
    assert [(n.kind, n.text, n.closed) for n in nodes] == [
        ("step", "a: 1+2=3", True),
        ("step", "b: 3*4=12", True),
        ("answer", "12", True),
    ]
    assert nodes[-1].answer == "12"
    assert [n.finish for n in nodes] == [None, None, "stop"]
    assert [x for n in nodes for x in n.logprobs] == logprobs


def test_a_direct_answer_is_one_node() -> None:
    ids = encode_completion(TOKENIZER, (), "12", "direct")
    (node,) = chain_nodes(TOKENIZER, ids, "direct", finish="stop")
    assert (node.kind, node.text, node.answer) == ("answer", "12", "12")


def test_what_is_cut_off_is_open() -> None:
    ids = encode_completion(TOKENIZER, ["a: 1+2=3", "b: 3*4=12"], "12", "chain")
    for length in range(len(ids)):
        nodes = chain_nodes(TOKENIZER, ids[:length], "chain", finish="length")
        assert nodes[-1].finish == "length"
        assert nodes[-1].answer is None
        (chain,) = Trace.of_chains("p", [nodes]).completions
        assert chain.steps == parse_completion(TOKENIZER, ids[:length], "chain").steps
    assert len(chain_nodes(TOKENIZER, [], "chain", finish="length")) == 1


def test_a_tool_s_tokens_are_a_node_of_their_own() -> None:
    ids = encode_completion(TOKENIZER, ["a: 1+2=3"], "3", "chain")
    forced = [False] * len(ids)
    forced[7] = True  # the 3
    nodes = chain_nodes(TOKENIZER, ids, "chain", finish="stop", forced=forced)
    assert [(n.text, n.author, n.closed) for n in nodes] == [
        ("a: 1+2=", "model", False),
        ("3", "tool", False),
        ("", "model", True),
        ("3", "model", True),
    ]
    (chain,) = Trace.of_chains("p", [nodes]).completions
    assert chain.steps == ("a: 1+2=3",)


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_any_ids_are_read_as_the_parser_reads_them(style: Style) -> None:
    rng = random.Random(0)
    for _ in range(300):
        ids = [rng.choice([*range(8), rng.randrange(300)]) for _ in range(rng.randrange(20))]
        forced = [rng.random() < 0.2 for _ in ids]
        nodes = chain_nodes(TOKENIZER, ids, style, finish="length", forced=forced)
        (chain,) = Trace.of_chains("p", [nodes]).completions
        parsed = parse_completion(TOKENIZER, ids, style)
        assert list(chain.token_ids) == ids
        assert (chain.steps, chain.answer) == (parsed.steps, parsed.answer)
        assert len(chain.step_ends) == len(parsed.steps)
