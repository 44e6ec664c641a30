"""Segments and roles of a chain that a person has read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.step_structure import KINDS, Role, StepState, read_steps
from glassmind.tokenize import encode_completion, encode_prompt, train_char
from glassmind.tokenize.base import TokenTable
from glassmind.tokenize.token_kinds import token_kinds

Q, S, D, P, R, C, A, X = Role


def read(question: str, steps: list[str], answer: str, style: str = "chain") -> list[StepState]:
    tok = train_char([question, *steps, answer])
    ids = encode_prompt(tok, question, style) + encode_completion(tok, steps, answer, style)  # type: ignore[arg-type]
    kinds = token_kinds(tok)
    return read_steps("".join(kinds[i] for i in ids))


def test_a_chain_of_two_steps() -> None:
    states = read("ab 7.", ["c: 7*2=14", "14-4=10"], "10")
    assert [s.segment for s in states] == [0] * 7 + [1] * 10 + [2] * 8 + [3] * 5
    assert [s.role for s in states] == [
        X, Q, Q, Q, Q, Q, X,
        S, S, S, D, P, D, P, R, R, C,
        D, D, P, D, P, R, R, C,
        X, X, A, A, X,
    ]  # fmt: skip
    # Every segment begins right after the question.
    assert [s.position for s in states] == [
        *range(7), *range(7, 17), *range(7, 15), *range(7, 12),
    ]  # fmt: skip


def test_a_direct_answer_is_segment_one() -> None:
    states = read("a 7", [], "14", "direct")
    assert [s.segment for s in states] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert [s.role for s in states] == [X, Q, Q, Q, X, A, A, X]


def test_a_result_ends_where_words_begin() -> None:
    roles = [s.role for s in read("a", ["7=-1.5 ab"], "1")[3:13]]
    assert roles == [D, P, R, R, R, R, R, S, S, C]


@given(st.text(KINDS, max_size=30))
def test_any_order_of_tokens_has_segments_that_never_fall(kinds: str) -> None:
    states = read_steps(kinds)
    segments = [s.segment for s in states]
    assert segments == sorted(segments)
    for before, after in pairwise(states):
        assert after.segment - before.segment == before.ends
        begins = after.question if before.ends else before.position + 1
        assert after.position == begins
    assert all(0 <= s.position <= at for at, s in enumerate(states))


def test_a_tokenizer_without_our_special_tokens_is_refused() -> None:
    tok = train_char(["ab"])
    tok.special = {"<|endoftext|>": 0}
    with pytest.raises(UserError, match=r"no token <\|question\|>"):
        token_kinds(tok)


def test_kinds_of_tokens_with_several_characters() -> None:
    texts = [b" ab", b" 12", b"12a", b" + ", b"==", b"=3", b"?!", b" $", b"\xff"]
    assert token_kinds(TokenTable(texts))[7:] == "wdwo=r.__"  # type: ignore[arg-type]
