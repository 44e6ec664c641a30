"""Problems with their answers in a file, and two such files side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.evaluate.compare.answers import answers_text, compare_answers
from glassmind.evaluate.graded_problems import (
    GradedProblem,
    MethodAnswer,
    read_problems,
    told,
    write_problems,
)
from glassmind.evaluate.step_marks import step_marks
from glassmind.statistics import mcnemar_exact

VOTE, GREEDY = "self-consistency", "chain-of-thought"


def problems(model: str, solved: str, method: str = VOTE) -> list[GradedProblem]:
    """Of ``+-`` for each problem."""
    return [
        GradedProblem(
            f"p{n}",
            f"What is {n} and\u2028{n}?",
            str(2 * n),
            model,
            (
                MethodAnswer(GREEDY, None, False),
                MethodAnswer(method, "1", sign == "+", (f"a: {n}+{n}={2 * n}", "b: 2/4=1")),
            ),
        )
        for n, sign in enumerate(solved)
    ]


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_problems(path, problems("mine", "+-"))
    assert read_problems(path) == problems("mine", "+-")
    assert told(problems("mine", "-")[0], VOTE) == [
        "    1. a: 0+0=0",
        "    2. b: 2/4=1   ✗ false",
        "  self-consistency: 1 ✗ (right is 0)",
    ]
    assert told(problems("mine", "-")[0], GREEDY) == [
        "  chain of thought: no answer ✗ (right is 0)"
    ]
    path.write_text('{"id": 3}\n')
    with pytest.raises(UserError, match="line 1"):
        read_problems(path)
    path.write_text("\n")
    with pytest.raises(UserError, match="holds no problems"):
        read_problems(path)


def test_two_models_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    write_problems(paths[0], problems("mine", "++--+-"))
    write_problems(paths[1], list(reversed(problems("theirs", "+-+++-+"))))  # one more, shuffled
    found = compare_answers(*paths)
    assert (found.n, found.both, found.first_only, found.second_only, found.neither) == (
        6, 2, 1, 2, 1,
    )  # fmt: skip
    assert found.p_value == mcnemar_exact(2, 1) and found.methods == (VOTE, VOTE)
    text = answers_text(found, show=1)
    assert "66.7 %  (30.0 to 90.3 %)  theirs, self-consistency" in text and "and 2 more" in text
    assert "+16.7  points from mine to theirs; exact paired test: p = 1.00" in text
    assert text.count("right: ") == 1
    beside = [line.split(" | ") for line in text.splitlines() if " | " in line]
    assert [[cell.strip() for cell in line] for line in beside[:2]] == [
        ["mine:", "theirs:"], ["1. a: 1+1=2"] * 2,
    ]  # fmt: skip
    narrow = answers_text(found, show=1, width=60)
    assert "mine:\n    1. a: 1+1=2" in narrow and " | " not in narrow
    assert main(["compare", *map(str, paths), "--show", "3"]) == 0
    assert capsys.readouterr().out == answers_text(found, show=3) + "\n"
    assert main(["compare", *map(str, paths), "--json", "--method", GREEDY]) == 0
    assert '"neither": 6' in capsys.readouterr().out
    assert main(["compare", *map(str, paths), "--method", "direct"]) == 2
    assert "both have chain-of-thought, self-consistency" in capsys.readouterr().err
    assert main(["compare", *map(str, [*paths, paths[0]])]) == 2


def test_what_two_files_may_lack(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    write_problems(paths[0], problems("mine", "++"))
    write_problems(paths[1], problems("mine", "+-", method="verifier-vote"))
    found = compare_answers(*paths)
    assert found.methods == (GREEDY, GREEDY)  # the highest that both have
    assert found.names == ("mine (a.jsonl)", "mine (b.jsonl)")
    other = [replace(p, question=f"not {p.question}") for p in problems("mine", "+")]
    write_problems(paths[1], other)
    with pytest.raises(UserError, match="no problem in common"):
        compare_answers(*paths)


def test_the_first_error_is_told_from_what_follows() -> None:
    steps: list[tuple[str, bool | None]] = [
        ("a: 2+2=4", True),
        ("b: 4*3=12", False),  # true, but no step of the solution
        ("c: 12+1=13", False),
        ("d: 13+1=15", False),
        ("e: 15+1=16", False),
    ]
    assert step_marks(steps) == [
        "", "wrong step", "follows from an error", "false equation", "follows from an error",
    ]  # fmt: skip
    # Where nothing but the equations can be checked.
    assert step_marks([("a: 2+2=5", None), ("b: 5+1=6", None)]) == ["false equation", ""]
