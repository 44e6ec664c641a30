"""The verb ``laboratory``, with three of its estimators."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import complaint, product

from glassmind.evaluate.laboratory import results

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        one
        for one in results.estimators()
        if one.name in ("RLOO", "Dr. GRPO", "k3 in the reward", "wrong critic, λ = 0")
    ]
    monkeypatch.setattr(results, "estimators", lambda: rows)


def test_it_prints_a_table_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = product(capsys, "laboratory", "--page", "lab.html")
    assert "PPO: advantages from a critic" in printed
    lines = [line.split() for line in printed.splitlines() if line.startswith("RLOO ")]
    assert [line[1:4] for line in lines] == [["1.00", "0", "0"]]
    assert "1 of 4 estimators have the true gradient" in printed
    assert "<svg" in (tmp_path / "lab.html").read_text("utf-8")


def test_json_has_the_numbers_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(product(capsys, "laboratory", "--group", "3", "--seed", "3", "--json"))
    assert (found["schema"], found["group"], found["seed"]) == (1, 3, 3)
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["Dr. GRPO"]["length"] == pytest.approx(2 / 9)
    assert by_name["RLOO"]["bias"] < 1e-10
    assert by_name["RLOO"]["exact"]


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--group takes a number from 2 to 8" in complaint(capsys, "laboratory", "--group", "1")
    said = complaint(capsys, "laboratory", "--page", "lab.txt")
    assert "must be the name of a page" in said
    said = complaint(capsys, "laboratory", "--page", "nowhere/at/all.html")
    assert "nowhere/at/all.html" in said or "nowhere/at" in said
