"""Stop strings in a stream of tokens against a search that starts over for every byte."""

from __future__ import annotations

from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.generate.stop_texts import StopTexts

SPECIAL = 0


def plain_stop(data: bytes, stops: list[str]) -> tuple[bytes, str | None]:
    """The text before the stop string that is complete first, by reading every beginning."""
    for end in range(1, len(data) + 1):
        complete = [stop for stop in stops if data[:end].endswith(stop.encode())]
        if complete:
            stop = max(complete, key=lambda s: len(s.encode()))
            return data[: end - len(stop.encode())], stop
    return data, None


# Few letters, so that strings repeat and overlap; a character of two bytes and one of four.
texts = st.text(alphabet="abé😀", min_size=1, max_size=6)


@settings(max_examples=150)
@given(
    st.lists(texts, max_size=4),
    st.lists(texts, max_size=9),
    st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(any),
)
def test_wherever_the_borders_fall(stops: list[str], words: list[str], steps: list[int]) -> None:
    whole = "".join(words).encode()
    tokens: list[bytes | None] = [None]
    sequence = []
    at = 0
    for step in cycle(steps):
        if at >= len(whole):
            break
        sequence.append(len(tokens) if step else SPECIAL)
        if step:
            tokens.append(whole[at : at + step])
        at += step
    one = StopTexts(stops, tokens)
    for place, token in enumerate(sequence):
        reaction = one.see(token)
        assert not reaction.forced
        if reaction.finished:
            break
        so_far = b"".join(tokens[t] or b"" for t in sequence[: place + 1])
        assert plain_stop(so_far, stops) == (so_far, None)
    before, stop = plain_stop(whole, stops)
    assert one.stopped_by == stop
    assert one.text == before.decode("utf-8", "replace")


def test_a_stop_string_may_span_tokens() -> None:
    tokens = [None, b"One.\n", b"\n", b"Q", b":", "é".encode()[:1], "é".encode()[1:]]
    one = StopTexts(["\n\nQ:"], tokens)
    for token in (1, 2, 3, 5, 6, 1, 2, 3, 4):
        finished = one.see(token).finished
        assert one.stopped_by == ("\n\nQ:" if finished else None)
    assert finished
    assert one.text == "One.\n\nQéOne."
    assert one.see(1).finished is False  # nothing more is taken in
    assert one.text == "One.\n\nQéOne."


def test_invalid_bytes_and_unknown_ids_are_no_error() -> None:
    one = StopTexts(["stop"], [b"\xff", b"\xc3"])
    for token in (0, 1, 99):
        one.see(token)
    assert one.text == "\ufffd\ufffd"


def test_repetitive_text_takes_no_longer_than_any_other() -> None:
    """A search that starts over would take 10^9 steps here and more, and this test for ever."""
    tokens = [b"a" * 50]
    one = StopTexts(["a" * 255 + "b" + c for c in "cdefghijklmnopqr"], tokens)
    for _ in range(400):
        one.see(0)
    assert one.stopped_by is None
    assert one.text == "a" * 20_000
