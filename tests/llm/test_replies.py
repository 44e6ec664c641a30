"""Free text as nodes: what is a step, what is the answer, and whose tokens are whose."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_servers import chat_model

from glassmind.llm.replies import NodeReader, closed_lines, reply_text
from glassmind.records import Completion, Node, Trace

LLM = chat_model()
SPECIAL = LLM.tokenizer.special
THINK, STEP = SPECIAL["<|think|>"], SPECIAL["<|step|>"]
END_THINK, ANSWER, END = SPECIAL["<|/think|>"], SPECIAL["<|answer|>"], SPECIAL["<|end|>"]


def encode(text: str) -> list[int]:
    return LLM.tokenizer.encode(text)


def read(ids: list[int], prompt: list[int] | None = None, width: int = 1000) -> list[Node]:
    reader = NodeReader(LLM, prompt or [])
    parts = [ids[at : at + width] for at in range(0, len(ids), width)]
    nodes = [node for part in parts for node in reader.see(part)]
    return nodes + reader.end("stop")


def completion(nodes: list[Node]) -> Completion:
    (only,) = Trace.of_chains("p", [nodes]).completions
    return only


def test_lines_of_text_are_nodes() -> None:
    nodes = read(encode("3*12=36\n\n36-5=31\nThe answer is 31."))
    assert [node.kind for node in nodes] == ["text"] * 3
    one = completion(nodes)
    assert one.steps == ("3*12=36", "36-5=31", "The answer is 31.")
    assert reply_text(one) == "3*12=36\n\n36-5=31\nThe answer is 31."
    assert one.answer == "31" and one.finish == "stop"


@pytest.mark.parametrize("width", [1, 3, 1000])
def test_marked_reasoning_is_steps_and_holds_no_answer(width: int) -> None:
    thought = [THINK, *encode("\n3*12=36\nis it 99?\n"), END_THINK, ANSWER]
    one = completion(read([*thought, *encode("\n\nThey have 31."), END], width=width))
    assert one.steps == ("3*12=36", "is it 99?")
    assert [node.kind for node in one.nodes][-1] == "answer"
    assert one.answer == "31"
    assert reply_text(one) == "3*12=36\nis it 99?\nThey have 31."
    # Cut off while it still reasons, it has answered nothing.
    cut = completion(read(thought[:-2], width=width))
    assert cut.answer is None and cut.steps == ("3*12=36", "is it 99?")


def test_a_prompt_may_have_begun_the_reasoning() -> None:
    ids = [
        *encode("3*12=36"),
        STEP,
        *encode("36-5=31"),
        STEP,
        END_THINK,
        ANSWER,
        *encode("31"),
        END,
    ]
    one = completion(read(ids, prompt=[THINK]))
    assert one.steps == ("3*12=36", "36-5=31") and one.answer == "31"
    assert len(one.step_ends) == 2


def test_thinking_that_was_left_out_is_no_reasoning() -> None:
    one = completion(read(encode("3*12=36\nso 36"), prompt=[THINK, END_THINK]))
    assert one.steps == ("3*12=36", "so 36") and one.answer == "36"


def test_what_a_tool_wrote_is_a_node_of_its_own() -> None:
    parts = [encode("<<48/2="), encode("24>>"), encode("24\nThe answer is 24.")]
    ids = [token for part in parts for token in part]
    forced = [number == 1 for number, part in enumerate(parts) for _ in part]
    reader = NodeReader(LLM, [])
    nodes = reader.see(ids, [-0.5] * len(ids), forced=forced) + reader.end("stop")
    assert [node.author for node in nodes] == ["model", "tool", "model", "model"]
    one = completion(nodes)
    assert one.steps == ("<<48/2=24>>24", "The answer is 24.")
    assert one.logprobs == (-0.5,) * len(ids)


@given(st.lists(st.integers(0, LLM.model.config.vocab_size - 1), max_size=60), st.integers(1, 9))
@settings(max_examples=80)
def test_any_tokens_can_be_read_in_any_portions(ids: list[int], width: int) -> None:
    nodes = read(ids, width=width)
    assert [token for node in nodes for token in node.token_ids] == ids
    assert nodes == read(ids)
    assert [node.finish for node in nodes] == [None] * (len(nodes) - 1) + ["stop"]
    assert tuple(closed_lines(nodes)) == completion(nodes).steps or any(
        node.kind == "text" for node in nodes
    )
