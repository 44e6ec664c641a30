"""The calculator of plain text: what it completes, what it forbids, and that it costs no passes."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams, Vocabulary
from glassmind.generate.equation_calculator import EquationCalculator, ResultTokens
from glassmind.grade.arithmetic import read_equations
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.runs.recipe import SamplingConfig

BYTES: list[bytes | None] = [None, *(bytes([byte]) for byte in range(256))]
TOKENS = ResultTokens(BYTES)


def letters(text: str) -> list[int]:
    return [byte + 1 for byte in text.encode()]


def forced(text: str) -> str | None:
    """What follows ``text``, written byte by byte, if its last byte makes the calculator act."""
    calculator = EquationCalculator(letters, TOKENS)
    reaction = None
    for token in letters(text):
        assert reaction is None or not reaction.forced
        reaction = calculator.see(token)
    assert reaction is not None
    return "".join(chr(token - 1) for token in reaction.forced) or None


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("3*9=", "27"),
        ("made: 3*9=", "27"),
        ("left after lunch: 120-45=", "75"),
        ("x: 12/4=", "3"),
        ("each: 7/4=", "1.75"),
        ("3 * 9 =", " 27"),
        ("so 3 × 9 − 2 =", " 25"),
        ("all: (3+4)*2=", "14"),
        ("1,200*3=", "3600"),
        ("3-9=", "-6"),
        ("1. 3*4=", "12"),
        ("- 3*4=", "12"),
        ("first line\nmade: 3*4=", "12"),
        ("<<48/2=", "24"),
        ("0.1+0.2=", "0.3"),
    ],
)
def test_equations_are_completed_exactly(text: str, result: str) -> None:
    assert forced(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "7=",
        "n=",
        "total =",
        "half of 3*4=",
        "y-3=",
        "ab3*4=",
        "10/3=",  # no exact decimal form
        "1/0=",
        "(1+2=",
        "$3*4=",
        "20%*50=",
        "score - 3*4=",  # not -12: something stands before the minus
        "999999999999*999999999999=",  # too long a result
        "1+" * 1_000 + "1=",
        "−1" * 3_000 + "=",
    ],
)
def test_what_is_not_an_expression_with_one_result_is_left_to_the_model(text: str) -> None:
    assert forced(text) is None


def see(calculator: EquationCalculator, *tokens: int) -> None:
    for token in tokens:
        assert calculator.see(token).forced == ()


def test_tokens_with_an_equals_and_a_wrong_result_are_forbidden() -> None:
    glued = [b"=2", b"=27", b"=3", b"=270", b"=27.", b"=27.5", b"9=2", b"9=8", b"=", b"= 2", b"=x"]
    tokens = ResultTokens([*BYTES, *glued])
    number = {data: len(BYTES) + at for at, data in enumerate(glued)}
    calculator = EquationCalculator(letters, tokens)
    see(calculator, *letters("made: 3*9"))
    allowed = calculator.allowed()
    assert allowed is not None
    forbidden = {data for data, token in number.items() if not allowed[token]}
    # 3*99=2 and 3*99=8 would be wrong as well: 3*99 is 297.
    assert forbidden == {b"=3", b"=270", b"=27.5", b"9=8", b"= 2"}
    assert calculator.see(number[b"=2"]).forced == tuple(letters("7"))

    calculator = EquationCalculator(letters, tokens)
    see(calculator, *letters("made: 3*9"), number[b"=27"])
    assert (after := calculator.allowed()) is not None and not after[letters("0")[0]]

    calculator = EquationCalculator(letters, tokens)
    see(calculator, *letters("made: 3*"))
    assert calculator.see(number[b"9=2"]).forced == tuple(letters("7"))

    calculator = EquationCalculator(letters, tokens)
    see(calculator, *letters("made:"))
    assert calculator.allowed() is None


def test_a_result_cannot_be_continued_by_digits() -> None:
    calculator = EquationCalculator(letters, TOKENS)

    def allowed(text: str) -> bool:
        mask = calculator.allowed()
        return mask is None or bool(mask[letters(text)[0]])

    assert calculator.allowed() is None
    see(calculator, *letters("made: 3*9"))
    result = calculator.see(letters("=")[0]).forced
    see(calculator, *result)
    assert not allowed("0") and not allowed("%")
    assert allowed(".") and allowed("x") and allowed(" ")
    see(calculator, *letters("."))
    assert not allowed("5") and allowed(" ")
    see(calculator, *letters(" "))
    assert calculator.allowed() is None
    see(calculator, *letters("then 27-7"))
    see(calculator, *calculator.see(letters("=")[0]).forced)
    assert not allowed("0")
    see(calculator, 0)  # a special token: the step is over, and what stood in it is gone
    assert calculator.allowed() is None
    see(calculator, *letters("+1="))


@given(
    st.lists(st.sampled_from([*"0123456789+-*/=().,x $%\n", "a: ", " = ", "of ", "−"]), max_size=40)
)
def test_what_is_forced_holds(pieces: list[str]) -> None:
    calculator = EquationCalculator(letters, TOKENS)
    line = ""
    for piece in pieces:
        for token in letters(piece):
            ids = calculator.see(token).forced
            line += chr(token - 1) if token <= 128 else ""
            if ids:
                result = "".join(chr(i - 1) for i in ids)
                assert Fraction(result.strip()).denominator >= 1
                see(calculator, *ids)
                line += result
                equations = read_equations(line.rpartition("\n")[2])
                if "−" not in "".join(pieces) and not result.strip().startswith("-"):
                    assert equations and equations[-1].holds


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=257, max_tokens=64, d_model=16, n_layers=1, attention=AttentionConfig(n_heads=2)
    )
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), None], [256])
    return Engine(
        Transformer(config), vocabulary=vocabulary, encode=lambda text: list(text.encode())
    )


def test_the_engine_reads_a_result_in_one_pass(engine: Engine) -> None:
    helped = 0
    for seed in range(12):
        params = SamplingParams(
            16,
            logit_bias=tuple((token, 100.0) for token in sorted(b"79*=")),
            calculator="equations",
            seed=seed,
        )
        engine.submit(Request(tuple(b"a sum: "), params))
        passes, done = 0, None
        while engine.busy:
            done = next((event.done for event in engine.step() if event.done is not None), None)
            passes += 1
        assert done is not None
        drawn = len(done.token_ids) - sum(done.forced)
        assert passes <= drawn + 1  # the last pass scores what was forced at the end
        if not done.forced:
            continue
        helped += 1
        text = bytes(done.token_ids).decode()
        begin = done.forced.index(True)
        end = begin + [*done.forced[begin:], False].index(False)
        left, right = text[:begin].removesuffix("="), text[begin:end]
        if end < len(text):  # else the limit may have cut the result
            value = Fraction(right)
            assert read_equations(f"{left}={right}")[-1].value == value
    assert helped >= 3


def test_a_use_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match="calculator must be true, false or one of off"):
        SamplingParams(3, calculator="equation")  # type: ignore[arg-type]


def test_old_values_keep_their_meaning() -> None:
    for given_, use in ((True, "annotations"), (False, "off"), ("equations", "equations")):
        assert SamplingParams(3, calculator=given_).calculator_use == use  # type: ignore[arg-type]
        config = SamplingConfig(calculator=given_)  # type: ignore[arg-type]
        for greedy in (True, False):
            assert SamplingParams.of(config, seed=0, greedy=greedy).calculator_use == use
