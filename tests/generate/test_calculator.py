"""The calculator: what it works out, how it writes it, and when it keeps out of the way."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.generate.calculator import Calculator, worked_out
from glassmind.grade import same_number

BYTES: list[bytes | None] = [None, *(bytes([byte]) for byte in range(256))]


def letters(text: str) -> list[int]:
    return [byte + 1 for byte in text.encode()]


def forced(text: str) -> str | None:
    """What follows ``text``, written byte by byte, if its last byte makes the calculator act."""
    calculator = Calculator(letters, BYTES)
    reactions = [calculator.see(token) for token in letters(text)]
    assert not any(reaction.forced or reaction.finished for reaction in reactions[:-1])
    return "".join(chr(token - 1) for token in reactions[-1].forced) or None


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("<<48/2=", "24>>"),
        ("Sold 48/2 = <<48/2=", "24>>"),
        ("<<12/60=", "0.2>>"),
        ("<<1.20*4=", "4.8>>"),
        ("<<-3 + 2*(4 - 1)=", "3>>"),
        ("<<3*-2=", "-6>>"),
        ("<<-(4+1)/2=", "-2.5>>"),
        ("<<+30+46=", "76>>"),
        ("<<1,800/2=", "900>>"),
        ("<<20%*50=", "10>>"),
        ("<<$2.50 x 4=", "10>>"),
        ("<<6×7−2=", "40>>"),
        ("<<100/3=", "33.333333>>"),
        ("<<2/3=", "0.666667>>"),
        ("<<0*5=", "0>>"),
        ("<<7=", "7>>"),
        ("<<<1+1=", "2>>"),
        ("<<1+<<1+2=", "3>>"),
        ("a < b << <<1+2=", "3>>"),
    ],
)
def test_results_are_written_as_gsm8k_writes_them(text: str, result: str) -> None:
    assert forced(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "48/2=",
        "<48/2=",
        "< <48/2=",
        "<<48/2>>=",
        "<<48/2",
        "<<=",
        "<<1/0=",
        "<<1/(2-2)=",
        "<<x+1=",
        "<<__import__('os')=",
        "<<2**9=",
        "<<9//2=",
        "<<(1+2=",
        "<<1+2)=",
        "<<1 2=",
        "<<1..2=",
        "<<1e9=",
        "<<\xff=",
        "<<1\n+2=",
        "<<1/10000000=",  # would be rounded to nothing
        "<<" + "9" * 14 + "=",
        "<<" + "999999999999*" * 3 + "1=",  # too long a result
        "<<" + "(" * 60 + "1" + ")" * 60 + "=",
        "<<" + "-" * 60 + "1=",
        "<<" + "1+" * 150 + "1=",
    ],
)
def test_what_cannot_be_worked_out_forces_nothing(text: str) -> None:
    assert forced(text) is None


def test_borders_of_tokens_do_not_matter() -> None:
    vocabulary: list[bytes | None] = [*BYTES, b" <<4", b"8/2", b"=", b"=2", b"=24>>", b"=5", b"<<"]
    begin = [257, 258]
    for end, rest in ((259, "24>>"), (260, "4>>"), (261, ""), (262, "")):
        calculator = Calculator(letters, vocabulary)
        assert not any(calculator.see(token).forced for token in begin)
        assert list(calculator.see(end).forced) == letters(rest)
    # A special token, and an id that no token has, stand for nothing.
    calculator = Calculator(letters, vocabulary)
    assert not any(calculator.see(token).forced for token in [*begin, 0, 9999])
    assert list(calculator.see(259).forced) == letters("24>>")
    # It is shown what it forced, and then works on.
    calculator = Calculator(letters, vocabulary)
    for token in [*begin, 259, *letters("24>>24 "), *begin]:
        reaction = calculator.see(token)
    assert list(calculator.see(259).forced) == letters("24>>")
    assert calculator.allowed() is None
    assert not reaction.forced


def test_a_space_that_the_tokenizer_puts_before_every_text_is_left_out() -> None:
    def with_space(text: str) -> list[int]:
        ids = letters(text)
        return [257, *ids[1:]] if ids[0] == ord("=") + 1 else [33, *ids]

    calculator = Calculator(with_space, [*BYTES, b" ="])
    for token in letters("<<1+1="):
        reaction = calculator.see(token)
    assert list(reaction.forced) == letters("2>>")
    unable = Calculator(lambda text: [33, *letters(text)], BYTES)
    assert not any(unable.see(token).forced for token in letters("<<1+1="))


@given(st.text(alphabet="<>=0123456789.,+-*/x() %$é", max_size=60))
def test_any_text_is_survived(text: str) -> None:
    calculator = Calculator(letters, BYTES)
    for token in letters(text):
        assert len(calculator.see(token).forced) <= 22


def test_annotations_of_gsm8k(data_folder: Path) -> None:
    """22,143 in the training file: none differs, and two, with ``//``, cannot be read."""
    outcomes: Counter[str] = Counter()
    for line in (data_folder / "gsm8k" / "train.jsonl").open(encoding="utf-8"):
        for annotation in re.findall(r"<<([^<>]*)>>", json.loads(line)["answer"]):
            expression, _, written = annotation.rpartition("=")
            result = worked_out(expression.encode())
            if result is None:
                outcomes["unread"] += 1
            elif result == written:
                outcomes["same text"] += 1
            else:  # 4.80 for 4.8, .5 for 0.5
                outcomes["same value" if same_number(result, written) else "differs"] += 1
    assert outcomes["differs"] == 0
    assert outcomes["unread"] <= 2
    assert outcomes["same text"] >= 0.97 * outcomes.total()
