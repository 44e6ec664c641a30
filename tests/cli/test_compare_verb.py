"""`compare`, and `report` of a training run: product, page, and one sentence for mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import complaint, product

from glassmind.cli import console
from glassmind.runs.recipe import Recipe, recipe_toml


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLASSMIND_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    for cached in (console.console, console.out):
        cached.cache_clear()


def run_folder(name: str, *, steps: int = 12) -> Path:
    folder = Path(name)
    folder.mkdir()
    (folder / "recipe.toml").write_text(recipe_toml(Recipe(name=name)), "utf-8")
    rows = [
        {"stage": "pretrain", "step": i, "loss": 3 - i / 10, "tokens": 100 * i, "seconds": i / 2}
        for i in range(1, steps + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return folder


def test_compare_prints_tables_and_writes_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    run_folder("a")
    run_folder("b", steps=8)
    text = product(capsys, "compare", "a", "b")
    assert "The runs have the same recipe." in text
    assert "Until a training loss of 2.4000" in text
    assert "<svg" in Path("compare.html").read_text("utf-8")
    printed = json.loads(product(capsys, "compare", "a", "b", "--json", "--out", "other.html"))
    assert printed["page"] == "other.html"
    assert printed["stages"]["pretrain"]["reached"]["training"]["spent"]["b"]["step"] == 8
    assert Path("other.html").is_file()


def test_compare_refuses_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    run_folder("a")
    run_folder("b")
    Path("empty").mkdir()
    assert "takes 2 to 8 runs, not 1" in complaint(capsys, "compare", "a")
    assert "a is given twice" in complaint(capsys, "compare", "a", "b", "a")
    assert "nowhere is not a folder" in complaint(capsys, "compare", "a", "nowhere")
    assert "empty is not a run" in complaint(capsys, "compare", "a", "empty")
    assert "empty is a folder" in complaint(capsys, "compare", "a", "b", "--out", "empty")
    lost = complaint(capsys, "compare", "a", "b", "--out", "no/where.html")
    assert "cannot write no/where.html" in lost
    with Path("b/metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("half\n")
    assert "b/metrics.jsonl, line 13 is not valid JSON" in complaint(capsys, "compare", "a", "b")


def test_report_of_a_training_run_says_what_its_figures_suggest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_folder("a")
    text = product(capsys, "report", "a")
    assert "12 steps, 1,200 tokens" in text
    assert "pretrain: healthy" in text
    printed = json.loads(product(capsys, "report", "a", "--json"))
    assert printed["diagnosis"]["pretrain"][0]["kind"] == "healthy"
    assert "<svg" in Path("a/report.html").read_text("utf-8")
    Path("a/metrics.jsonl").unlink()
    assert "no ladder.json and no metrics.jsonl" in complaint(capsys, "report", "a")
