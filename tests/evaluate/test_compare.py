"""Comparing runs: what differs, who got where when, and every way to get it wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glassmind.errors import UserError
from glassmind.evaluate.compare.page import comparison_panels, render_comparison
from glassmind.evaluate.compare.runs import MOST_RUNS, Comparison, compare_runs, points
from glassmind.evaluate.compare.table import (
    ComparisonRecord,
    Losses,
    comparison_record,
    comparison_text,
)
from glassmind.runs.recipe import Recipe, recipe_toml
from glassmind.serialization import decode, encode


def make_run(
    folder: Path,
    losses: list[float],
    *,
    stage: str = "pretrain",
    speed: float = 1000.0,
    checks: dict[int, float] | None = None,
    **train: Any,
) -> Path:
    """A run of one stage with a row every 10 steps of 100 tokens."""
    recipe = Recipe()
    recipe = replace(recipe, train=replace(recipe.train, **train))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(recipe_toml(recipe), "utf-8")
    rows = []
    for i, loss in enumerate(losses, start=1):
        tokens = 1000 * i
        rows.append(
            {"stage": stage, "step": 10 * i, "loss": loss, "lr": 1.0, "tokens": tokens,
             "seconds": tokens / speed, "tokens_per_second": speed}
        )  # fmt: skip
        if checks and 10 * i in checks:
            rows.append({"stage": stage, "step": 10 * i, "validation_loss": checks[10 * i]})
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.fixture
def two(tmp_path: Path) -> Comparison:
    fast = make_run(
        tmp_path / "fast", [4, 3, 2, 1.5, 1], checks={20: 2.0, 50: 1.1}, muon_lr=0.05, speed=500
    )
    slow = make_run(
        tmp_path / "slow", [4, 3.5, 3, 2.5, 2], checks={20: 3.0, 30: 1.9, 50: 2.4}, steps=500
    )
    return compare_runs([fast, slow])


def test_only_what_differs_is_told(two: Comparison) -> None:
    told = {d.key: d.values for d in two.differences}
    assert told == {"train.steps": ("1000", "500"), "train.muon_lr": ("0.05", "0.02")}
    assert two.caution == ""


def test_each_run_is_timed_to_the_best_of_the_worst(two: Comparison) -> None:
    (stage,) = two.stages
    # Smoothed over five rows: fast ends at 2.3, slow at 3.0, so 3.0 is the mark.
    assert [at.mark for at in stage.training] == [3.0, 3.0]
    assert [at.spent.step for at in stage.training] == [30, 50]
    assert [at.spent.tokens for at in stage.training] == [3000, 5000]
    assert [at.spent.seconds for at in stage.training] == [6, 5]  # fewer tokens, but more time
    assert stage.validation is not None
    assert [(at.mark, at.spent.step) for at in stage.validation] == [(1.9, 50), (1.9, 30)]
    assert [run.typical_speed for run in stage.runs] == [500, 1000]


def test_a_validation_takes_tokens_and_seconds_from_the_row_before(two: Comparison) -> None:
    slow = two.stages[0].runs[1]
    assert points(slow.validation, "seconds") == [(2, 3.0), (3, 1.9), (5, 2.4)]


def test_the_text_and_the_record_say_the_same(two: Comparison) -> None:
    text = comparison_text(two)
    assert re.search(r"train\.muon_lr +0\.05 +0\.02", text)
    assert re.search(r"fast +30 +3,000 +6\.0 s", text)
    record = comparison_record(two)
    assert decode(ComparisonRecord, encode(record), "here") == record
    assert record.differences["train.steps"] == {"fast": "1000", "slow": "500"}
    stage = record.stages["pretrain"]
    assert stage.reached["validation"].loss == 1.9
    assert stage.reached["validation"].spent["slow"].step == 30
    (first, _) = stage.runs
    assert first.validation_loss == Losses(last=1.1, best=1.1)


def test_the_page_overlays_every_curve_and_needs_nothing_else(two: Comparison) -> None:
    html = render_comparison(two)
    panels = comparison_panels(two.stages[0])
    assert len(panels) == 12  # four figures against steps, tokens and seconds
    assert all(panel.svg in html for panel in panels)
    assert all(panel.svg.count('class="curve"') == 2 for panel in panels)
    assert not re.search(r"<script|<link|<img|https?://|url\(|@import|\ssrc=", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html


def test_runs_of_one_name_are_told_apart_and_names_are_escaped(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a" / "<b>run", [3, 2])
    b = make_run(tmp_path / "b" / "<b>run", [3, 2])
    comparison = compare_runs([a, b])
    assert comparison.labels == ("a/<b>run", "b/<b>run")
    html = render_comparison(comparison)
    assert "<b>run" not in html
    assert "&lt;b&gt;run" in html
    assert "same recipe" in html
    assert "same recipe" in comparison_text(comparison)


def test_many_runs_and_curves_without_extent(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"r{i}", [2.0]) for i in range(MOST_RUNS)]
    html = render_comparison(compare_runs(runs))
    assert "nan" not in html.lower()
    make_run(tmp_path / "huge", [1e300, 1e-300])
    assert "nan" not in render_comparison(compare_runs([runs[0], tmp_path / "huge"])).lower()
    with pytest.raises(UserError, match=f"2 to {MOST_RUNS} runs, not 9"):
        compare_runs([*runs, make_run(tmp_path / "more", [2.0])])
    with pytest.raises(UserError, match="not 1"):
        compare_runs(runs[:1])


def test_stages_in_common_are_compared_and_single_ones_pair_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, [3, 2], stage="pretrain")
    make_run(tmp_path / "a", [3, 2], stage="verifier")
    direct, chain = (make_run(tmp_path / s, [3, 1], stage=s) for s in ("direct", "chain"))
    assert [s.name for s in compare_runs([tmp_path / "a", tmp_path / "b"]).stages] == ["pretrain"]
    assert [s.name for s in compare_runs([direct, chain]).stages] == ["direct / chain"]
    with pytest.raises(
        UserError, match=r"no stage of training in common: .*a has pretrain, verifier"
    ):
        compare_runs([tmp_path / "a", chain])


def test_other_tokens_make_losses_incomparable(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", [3, 2]), make_run(tmp_path / "b", [3, 2])
    text = (b / "recipe.toml").read_text("utf-8").replace("vocab_size = 1024", "vocab_size = 512")
    (b / "recipe.toml").write_text(text, "utf-8")
    comparison = compare_runs([a, b])
    assert "tokenizer.vocab_size" in comparison.caution
    assert comparison.caution in comparison_text(comparison)


def test_a_value_that_one_run_does_not_have(tmp_path: Path) -> None:
    """A recipe of another version, whose keys this one does not know."""
    a, b = make_run(tmp_path / "a", [3, 2]), make_run(tmp_path / "b", [3, 2])
    (b / "recipe.toml").write_text("future = [1, 2]\n" + (b / "recipe.toml").read_text("utf-8"))
    (found,) = compare_runs([a, b]).differences
    assert (found.key, found.values) == ("future", (None, "[1, 2]"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.jsonl", '{"stage":"a","step":1,"loss":1}\n{"stage"\n', "line 2 is not valid"),
        ("metrics.jsonl", '{"stage":"a","step":1,"loss":"x"}\n', "line 1: loss takes a number"),
        ("metrics.jsonl", '{"stage":"a","step":1}\n', "holds no losses"),
        ("metrics.jsonl", "", "holds no losses"),
        ("metrics.jsonl", None, "has no metrics.jsonl"),
        ("recipe.toml", None, "is not a run"),
        ("recipe.toml", "= 3", "is not valid TOML"),
        ("run.json", "{", "is not valid JSON"),
    ],
)
def test_damaged_runs_are_named(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    good, bad = make_run(tmp_path / "good", [3, 2]), make_run(tmp_path / "bad", [3, 2])
    if content is None:
        (bad / name).unlink()
    else:
        (bad / name).write_text(content, "utf-8")
    with pytest.raises(UserError, match=f"bad.*{re.escape(message)}"):
        compare_runs([good, bad])


def test_the_same_run_twice_and_no_run_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [3, 2])
    with pytest.raises(UserError, match="is given twice"):
        compare_runs([run, run / ".." / "run"])
    with pytest.raises(UserError, match="is not a folder"):
        compare_runs([run, tmp_path / "nowhere"])
