"""Traces: forests of nodes, and the paths in them."""

from __future__ import annotations

import pytest

from glassmind.records import OUTCOME, PROCESS, Cost, Node, Trace


def span(parent: int | None, text: str, tokens: int, **more: object) -> Node:
    cost = Cost(completion_tokens=tokens, seconds=tokens / 10)
    ids = tuple(range(tokens))
    return Node(parent, "step", text, ids, (-1.0,) * tokens, cost=cost, **more)  # type: ignore[arg-type]


# a ─┬─ b ── d     two roots; the first branches
#    └─ c
# e
TREE = Trace(
    "p",
    (
        span(None, "a", 1),
        span(0, "b", 2),
        span(0, "c", 3, finish="length"),
        span(1, "d", 4, finish="stop", answer="7"),
        span(None, "e", 5, finish="stop", answer="8"),
    ),
    Cost(prompt_tokens=100),
)


def test_leaves_are_what_nothing_continues() -> None:
    assert TREE.leaves == (2, 3, 4)
    assert [TREE.path(leaf) for leaf in TREE.leaves] == [(0, 2), (0, 1, 3), (4,)]


def test_a_completion_reads_its_path() -> None:
    cut, whole, other = TREE.completions
    assert [c.sample for c in TREE.completions] == [0, 1, 2]
    assert whole.steps == ("a", "b", "d")
    assert whole.token_ids == (0, 0, 1, 0, 1, 2, 3)
    assert (whole.answer, whole.finish, whole.logprob) == ("7", "stop", -7.0)
    assert (cut.answer, cut.finish) == (None, "length")
    assert (other.problem_id, other.answer) == ("p", "8")


def test_costs_add_up_and_shared_spans_count_once() -> None:
    assert TREE.cost.completion_tokens == 15
    assert TREE.cost.prompt_tokens == 100
    assert TREE.cost.seconds == pytest.approx(1.5)
    assert [c.cost.completion_tokens for c in TREE.completions] == [4, 7, 5]
    assert TREE.first(2).cost.completion_tokens == 10


def test_the_first_completions_are_a_trace_of_their_own() -> None:
    assert TREE.first(3) == TREE
    one = TREE.first(1)
    assert [node.text for node in one.nodes] == ["a", "c"]
    assert one.completions[0].steps == ("a", "c")


def test_scores_are_added_to_nodes() -> None:
    read = {3: Cost(judged_tokens=4)}
    judged = TREE.with_scores({0: {PROCESS: 0.5}, 3: {PROCESS: 0.25, OUTCOME: 0.75}}, read)
    whole = judged.completions[1]
    assert whole.step_scores == (0.5, 0.25)
    assert whole.score == 0.75
    assert whole.cost.judged_tokens == 4
    again = judged.with_scores({3: {"other": 1.0}}, {})
    assert again.nodes[3].scores == {PROCESS: 0.25, OUTCOME: 0.75, "other": 1.0}
    assert TREE.completions[1].score is None


def test_a_step_that_a_tool_wrote_in_is_one_step() -> None:
    trace = Trace.of_chains(
        "p",
        [
            [
                Node(None, "step", "half: <<48/2=", closed=False),
                Node(None, "step", "24>>", author="tool", closed=False),
                Node(None, "step", "24"),
                Node(None, "answer", "24", finish="stop", answer="24"),
            ]
        ],
    )
    (chain,) = trace.completions
    assert chain.steps == ("half: <<48/2=24>>24",)
    assert chain.step_ends == (2,)


def test_each_line_of_a_text_is_a_step() -> None:
    trace = Trace.of_chains("p", [[Node(None, "text", "first\n\n  then\n", finish="stop")]])
    assert trace.completions[0].steps == ("first", "  then")


def test_chains_share_only_the_prompt() -> None:
    two = [Node(9, "step", "a"), Node(9, "answer", "1", finish="stop")]
    trace = Trace.of_chains("p", [two, two], Cost(prompt_tokens=3))
    assert [node.parent for node in trace.nodes] == [None, 0, None, 2]
    assert trace.cost.prompt_tokens == 3


@pytest.mark.parametrize("parent", [0, 1, -1])
def test_a_parent_comes_first(parent: int) -> None:
    with pytest.raises(ValueError, match=f"node 0 has parent {parent}"):
        Trace("p", (Node(parent, "step", "a"),))
