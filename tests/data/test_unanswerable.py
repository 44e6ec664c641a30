"""Questions that cannot be answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data.problems.unanswerable import UNANSWERABLE, abstains, load_unanswerable
from glassmind.errors import UserError


@pytest.mark.parametrize(
    ("reply", "declines"),
    [
        ("The answer is unanswerable.", True),
        ("There is not enough information.", True),
        ("We don't have enough information to say.", True),
        ("This cannot be determined\n\n", True),
        ("It is impossible to tell how many.", True),
        ("The answer is 12.", False),
        ("It cannot be determined at first.\nBut 3+4=7\nThe answer is 7.", False),
        ("", False),
    ],
)
def test_declining_in_words(reply: str, declines: bool) -> None:
    assert abstains(reply) is declines


def test_any_number_of_problems_is_a_mixture(tmp_path: Path) -> None:
    rows = [
        {"question": f"How many are {n}?", "answer": str(n), "answerable": n < 50, "id": n}
        for n in range(100)
    ]
    path = tmp_path / "umwp.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    problems = load_unanswerable(path)
    lacking = [problem.answer == UNANSWERABLE for problem in problems]
    assert sum(lacking) == 50 and 10 < sum(lacking[:50]) < 40
    path.write_text('{"question": "?", "answer": "1"}')
    with pytest.raises(UserError, match="answerable"):
        load_unanswerable(path)
