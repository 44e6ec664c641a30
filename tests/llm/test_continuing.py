"""Chains that are continued after a step: what a whole chain would have been, piece by piece."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from glassmind.generate import Generation, SamplingParams
from glassmind.llm.continuing import continuation_nodes
from glassmind.llm.local import LocalLLM
from glassmind.llm.model import OpenPath, StepModel
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.records import Node, Problem
from glassmind.tokenize import CharTokenizer
from glassmind.tokenize.special import ANSWER, END, END_THINK, STEP

TOKENIZER = CharTokenizer()
STEP_ID, END_ID = TOKENIZER.special[STEP], TOKENIZER.special[END]
ROOM = 40
# An untrained model rarely ends a step by itself.
PARAMS = SamplingParams(ROOM, logit_bias=((STEP_ID, 3.0), (END_ID, 1.5)), seed=3)
PROBLEMS = [Problem("p", "How many?", "3"), Problem("q", "And how many are left now?", "4")]


@pytest.fixture(scope="module")
def llm() -> LocalLLM:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size, max_tokens=96, d_model=16, n_layers=1,
        attention=AttentionConfig(n_heads=2),
    )  # fmt: skip
    model = Transformer(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return LocalLLM("tiny", model, TOKENIZER, "question", frozenset({END_ID}))


def ids_of(nodes: list[Node]) -> tuple[int, ...]:
    return tuple(token for node in nodes for token in node.token_ids)


def test_one_step_is_written_at_a_time(llm: LocalLLM) -> None:
    assert isinstance(llm, StepModel) and llm.continues_steps
    paths = [OpenPath(problem, (), seed, 12) for seed, problem in enumerate(PROBLEMS)]
    stepped = llm.continue_paths(paths, PARAMS)
    kinds = set()
    for samples in stepped:
        assert len(samples) == 12
        for nodes in samples:
            ids = ids_of(nodes)
            assert STEP_ID not in ids[:-1] and END_ID not in ids[:-1]
            assert len(nodes) == 1 and nodes[0].cost.completion_tokens == len(ids) <= ROOM
            assert len(nodes[0].logprobs) == len(nodes[0].sampled_logprobs) == len(ids)
            ends = {STEP_ID: None, END_ID: "stop"}
            assert nodes[0].finish == ends.get(ids[-1], "length")
            assert nodes[0].closed == (ids[-1] == STEP_ID and nodes[0].kind == "step")
            kinds.add(nodes[0].finish)
    assert kinds >= {None, "stop"}
    seconds = [n.cost.seconds / n.cost.completion_tokens for s in stepped for (n,) in s]
    assert min(seconds) == pytest.approx(max(seconds)) and min(seconds) > 0


def test_a_path_does_not_depend_on_its_company(llm: LocalLLM) -> None:
    paths = [OpenPath(problem, (), seed, 3) for seed in range(2) for problem in PROBLEMS]
    together = llm.continue_paths(paths, PARAMS)
    for path, samples in zip(paths, together, strict=True):
        (alone,) = llm.continue_paths([path], PARAMS)
        assert [ids_of(nodes) for nodes in alone] == [ids_of(nodes) for nodes in samples]
    assert len({tuple(map(ids_of, samples)) for samples in together}) > 2


def test_greedy_steps_make_the_greedy_chain(llm: LocalLLM) -> None:
    """Step by step, and to the end from any step of it."""
    bias = ((STEP_ID, 6.0), (END_ID, 3.0))
    greedy = replace(PARAMS, temperature=0.0, logit_bias=bias, max_new_tokens=10)
    for problem in PROBLEMS:
        (whole,) = llm.sample([problem], greedy, "chain")
        (chain,) = whole.completions
        written: tuple[int, ...] = ()
        starts = [written]
        while True:
            (((*_, node),),) = llm.continue_paths([OpenPath(problem, written, 9)], greedy)
            written += node.token_ids
            if node.finish is not None:
                break
            starts.append(written)
        assert written == chain.token_ids
        assert len(starts) > 1
        for start in starts:
            ((nodes,),) = llm.continue_paths([OpenPath(problem, start, 9)], greedy, to_end=True)
            assert start + ids_of(nodes) == chain.token_ids
            assert nodes[-1].finish == chain.finish
            assert nodes[-1].answer == chain.answer


def test_the_length_of_the_whole_chain_is_bounded(llm: LocalLLM) -> None:
    path = (*TOKENIZER.encode("1" * (ROOM - 2)), STEP_ID)
    (samples,) = llm.continue_paths([OpenPath(PROBLEMS[0], path, 0, 5)], PARAMS)
    assert [nodes[-1].cost.completion_tokens for nodes in samples] == [1] * 5
    for full in ((*path, STEP_ID), path * 3):
        (samples,) = llm.continue_paths([OpenPath(PROBLEMS[0], full, 0, 2)], PARAMS)
        for (node,) in samples:
            assert (node.token_ids, node.finish, node.answer) == ((), "length", None)
    long = replace(PROBLEMS[0], question="why " * 5000)
    (((node,),),) = llm.continue_paths([OpenPath(long, (), 0)], PARAMS)
    assert node.finish == "length" and llm.prompt_tokens(long.question) == 0
    assert llm.prompt_tokens("How many?") == len(llm.prompt("How many?", "chain"))


def test_a_step_s_end_inside_an_answer_ends_nothing(llm: LocalLLM) -> None:
    special = TOKENIZER.special
    ids = (special[END_THINK], special[ANSWER], *TOKENIZER.encode("4"), STEP_ID)
    (node,) = continuation_nodes(llm, Generation(ids, (-1.0,) * len(ids), "stop"))
    assert (node.kind, node.closed, node.finish, node.answer) == ("answer", False, None, None)


def test_only_our_own_format_can_be_continued(llm: LocalLLM) -> None:
    assert not replace(llm, style="direct").continues_steps
    other = replace(llm, format="text")
    assert not other.continues_steps
    assert other.follows_instructions and not llm.follows_instructions
    assert not replace(other, lines_are_steps=True).follows_instructions
