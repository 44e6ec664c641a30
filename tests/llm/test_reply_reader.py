"""From tokens to text: half characters, stop texts, marks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_servers import chat_model

from glassmind.llm.local import LocalLLM
from glassmind.llm.reply_reader import Piece, ReplyReader

SERVED = chat_model()
SPECIAL = SERVED.tokenizer.special


def joined(pieces: list[Piece], channel: str) -> str:
    return "".join(piece.text for piece in pieces if piece.channel == channel)


@given(st.lists(st.integers(0, SERVED.model.config.vocab_size - 1), max_size=60))
@settings(max_examples=60)
def test_pieces_add_up_to_what_the_tokenizer_decodes(ids: list[int]) -> None:
    reader = ReplyReader(SERVED, [], channels=False)
    pieces = [piece for token in ids for piece in reader.see([token])] + reader.end()
    assert joined(pieces, "content") == SERVED.tokenizer.decode(ids) == reader.text["content"]


@given(st.text(st.sampled_from("ab "), max_size=40), st.text("ab", min_size=1, max_size=4))
@settings(max_examples=200)
def test_no_part_of_a_stop_text_shows(text: str, stop: str) -> None:
    ids = SERVED.tokenizer.encode(text)
    reader = ReplyReader(SERVED, [], [stop], channels=False)
    shown, stopped = "", None
    for number, token in enumerate(ids):
        shown += joined(reader.see([token]), "content")
        if stop in SERVED.tokenizer.decode(ids[: number + 1]):
            stopped = stop
            break
    shown += joined(reader.end(stopped), "content")
    assert shown == text.partition(stop)[0]


def test_marks_tell_reasoning_from_the_answer() -> None:
    encode = SERVED.tokenizer.encode
    reader = ReplyReader(SERVED, [SPECIAL["<|question|>"], SPECIAL["<|think|>"]])
    ids = [*encode("3*12=36"), SPECIAL["<|step|>"], *encode("36-5=31"), SPECIAL["<|step|>"]]
    ids += [SPECIAL["<|/think|>"], SPECIAL["<|answer|>"], *encode(" 31"), SPECIAL["<|end|>"]]
    pieces = [piece for token in ids for piece in reader.see([token])] + reader.end()
    assert joined(pieces, "reasoning") == "3*12=36\n36-5=31"
    assert joined(pieces, "content") == "31"
    assert reader.tokens["reasoning"] + reader.tokens["content"] == len(ids)


def test_thinking_marks_of_others() -> None:
    served = LocalLLM("o", SERVED.model, SERVED.tokenizer, "chat", SERVED.stop_ids)
    served.__dict__["marks"] = {5: "think", 6: "answer"}  # as their vocabulary would have it
    reader = ReplyReader(served, [])
    ids = [5, *SERVED.tokenizer.encode("\nhm"), 6, *SERVED.tokenizer.encode("\n\nyes")]
    pieces = reader.see(ids) + reader.end()
    assert pieces == [Piece("reasoning", "hm"), Piece("content", "yes")]
