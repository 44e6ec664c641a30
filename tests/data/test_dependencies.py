"""Where operands come from, marked token by token, and positions with gaps."""

from __future__ import annotations

import numpy as np

from glassmind.data.batches.dependencies import OPERAND_FROM, QUANTITY, dependency_columns
from glassmind.data.batches.gaps import random_positions
from glassmind.records import Step
from glassmind.step_structure import read_steps
from glassmind.tokenize import encode_prompt, train_char


def test_operands_point_to_numbers_and_results() -> None:
    question = "Buy 7 at $2 or 7 at $1,400."
    steps = (
        Step("cost: 7*2=14", "*", ("7", "2"), "14", (None, None)),
        Step("so far: 14+60=74", "+", ("14", "60"), "74", (0, None)),
        Step("t: 1400-74=1326", "-", ("1400", "74"), "1326", (None, 1)),
        Step("words only"),
    )
    texts = ["cost: <<7*2=14>>", *(step.text for step in steps[1:])]
    tok = train_char([question, *texts])
    columns = dependency_columns(tok, question, steps, texts, 90)
    line = "?" + question + "?" + "".join(text + "|" for text in texts)
    assert len(line) == len(columns[QUANTITY]) == len(columns[OPERAND_FROM])

    def shown(values: np.ndarray) -> str:
        return "".join(str(v) if v else c for v, c in zip(values.tolist(), line, strict=True))

    # Steps are quantities 1 to 4; the question's 7, 2 and 1,400 are 5, 6 and 7.
    assert shown(columns[QUANTITY]) == (
        "?Buy 5 at $6 or 5 at $77777.?cost: <<7*2=11>>|so far: 14+60=22|t: 1400-74=3333|words only|"
    )
    assert shown(columns[OPERAND_FROM]) == (
        "?Buy 7 at $2 or 7 at $1,400.?cost: <<5*6=14>>|so far: 11+60=74|t: 7777-22=1326|words only|"
    )


def test_gaps_come_before_sentences_and_steps_only() -> None:
    # Q ab. cd 1.5 T ab=1 S ab S K A 1 X
    kinds = "Qww.wwd.dT" + "ww=dS" + "wwS" + "KAdX"
    may_begin = {4, 10, 15, 18}
    assert {t for t, s in enumerate(read_steps(kinds)) if t and s.position == 10} == {10, 15, 18}
    seen_gaps: set[int] = set()
    longest = 0
    for seed in range(200):
        positions = random_positions(kinds, 64, np.random.default_rng(seed))
        gaps = np.diff(positions) - 1
        assert positions[0] == 0 and (gaps >= 0).all() and positions[-1] < 64
        seen_gaps |= set((np.flatnonzero(gaps) + 1).tolist())
        longest = max(longest, int(positions[-1]))
    assert seen_gaps == may_begin
    assert longest == 63
    full = random_positions(kinds, len(kinds), np.random.default_rng(0))
    assert full.tolist() == list(range(len(kinds)))
    again = random_positions(kinds, 64, np.random.default_rng(7))
    assert (again == random_positions(kinds, 64, np.random.default_rng(7))).all()


def test_the_columns_begin_where_the_prompt_does() -> None:
    tok = train_char(["a 7"])
    length = len(encode_prompt(tok, "a 7", "chain"))
    columns = dependency_columns(tok, "a 7", (), (), length + 2)
    assert columns[QUANTITY].tolist() == [0] * (length - 2) + [1, 0, 0, 0]
