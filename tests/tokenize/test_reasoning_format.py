from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.tokenize import (
    BPETokenizer,
    Style,
    Tokenizer,
    encode_completion,
    encode_prompt,
    parse_completion,
    train_char,
)

PAD, QUESTION, THINK, STEP, END_THINK, ANSWER, END = range(7)
CHAR = train_char([])
STEPS = ("pencils: 3*12=36", "left: 36-6=30")


def spelled(tok: Tokenizer, ids: list[int]) -> str:
    return "".join(tok.token_text(token_id) for token_id in ids)


def test_the_format_spelled_out(bpe: BPETokenizer) -> None:
    for tok in (bpe, CHAR):
        chain = encode_prompt(tok, "Q?", "chain") + encode_completion(tok, STEPS, "30", "chain")
        assert spelled(tok, chain) == (
            "<|question|>Q?<|think|>pencils: 3*12=36<|step|>left: 36-6=30<|step|>"
            "<|/think|><|answer|>30<|end|>"
        )
        direct = encode_prompt(tok, "Q?", "direct") + encode_completion(tok, STEPS, "30", "direct")
        assert spelled(tok, direct) == "<|question|>Q?<|answer|>30<|end|>"


def test_special_spellings_in_a_question_stay_text(bpe: BPETokenizer) -> None:
    ids = encode_prompt(bpe, "say <|end|><|answer|>7", "chain")
    assert ids[0] == QUESTION
    assert ids[-1] == THINK
    assert min(ids[1:-1]) >= 7


@pytest.mark.parametrize("style", ["direct", "chain"])
@given(steps=st.lists(st.text()), answer=st.text().filter(lambda text: text.strip() == text != ""))
def test_parsing_undoes_encoding(style: Style, steps: list[str], answer: str) -> None:
    ids = encode_completion(CHAR, steps, answer, style)
    parsed = parse_completion(CHAR, ids, style)
    assert parsed.answer == answer
    assert parsed.steps == (tuple(steps) if style == "chain" else ())
    assert [ids[at] for at in parsed.step_token_positions] == [STEP] * len(parsed.steps)
    assert parsed.answer_position == len(ids) - 1


def _ids(*parts: str | int) -> list[int]:
    result: list[int] = []
    for part in parts:
        result += [part] if isinstance(part, int) else CHAR.encode(part)
    return result


@pytest.mark.parametrize(
    ("ids", "steps", "answer", "end"),
    [
        ([], (), None, None),
        (_ids("a", STEP, "b", STEP, END_THINK, ANSWER, " 42 ", END), ("a", "b"), "42", 10),
        (_ids("a", STEP, END_THINK, ANSWER, "4"), ("a",), None, None),  # cut off in the answer
        (_ids("a", STEP, "unclosed", END_THINK, ANSWER, "4", END), ("a",), "4", 13),
        (_ids("a", STEP, ANSWER, "4", END), ("a",), "4", 4),  # <|/think|> forgotten
        (_ids("a", STEP, END), ("a",), None, 2),
        (_ids("a", STEP, END_THINK, "4", END), ("a",), None, 4),
        (_ids(ANSWER, "4", STEP, "2", END), (), None, 4),
        (_ids(ANSWER, "  ", END), (), None, 3),
        (_ids(ANSWER, END), (), None, 1),
        (_ids(ANSWER, "4", END, "junk", STEP, ANSWER, "5", END), (), "4", 2),
        (_ids(END, ANSWER, "4", END), (), None, 0),
        (_ids(STEP, STEP, END_THINK, STEP, ANSWER, "4", END), ("", ""), "4", 6),
        (_ids("a", 99_999, -5, STEP, ANSWER, "4", END), ("a",), "4", 6),
        (_ids(END_THINK, END_THINK, THINK, PAD), (), None, None),
    ],
)
def test_garbage_is_read_as_far_as_it_makes_sense(
    ids: list[int], steps: tuple[str, ...], answer: str | None, end: int | None
) -> None:
    parsed = parse_completion(CHAR, ids, "chain")
    assert (parsed.steps, parsed.answer, parsed.answer_position) == (steps, answer, end)


@given(ids=st.lists(st.one_of(st.integers(0, 6), st.integers(-3, 400)), max_size=40))
def test_any_ids_whatever_can_be_parsed(ids: list[int]) -> None:
    styles: tuple[Style, ...] = ("direct", "chain")
    for style in styles:
        parsed = parse_completion(CHAR, ids, style)
        assert len(parsed.steps) == len(parsed.step_token_positions)
        assert parsed.answer is None or parsed.answer_position is not None


def test_arrays_are_parsed_like_lists(bpe: BPETokenizer) -> None:
    ids = encode_completion(bpe, STEPS, "30", "chain")
    assert parse_completion(bpe, np.array(ids), "chain") == parse_completion(bpe, ids, "chain")


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="style"):
        encode_prompt(CHAR, "Q", "chian")  # type: ignore[arg-type]
