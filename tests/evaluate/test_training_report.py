"""The report of a training run: its curves, its diagnosis, and what happened inside the layers."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from tiny_runs import tiny_model, tiny_text, train_tiny

from glassmind.errors import UserError
from glassmind.evaluate.report.page import render_report, write_report
from glassmind.evaluate.report.training_panels import MAX_COLUMNS, inspection_panels, looks_of
from glassmind.evaluate.report.training_section import stages_of, training_summary
from glassmind.evaluate.run_files import Inspection, Metric, read_metrics, read_run_files


def write_run(folder: Path, metrics: list[Metric]) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for metric in metrics:
            kept = {name: value for name, value in asdict(metric).items() if value is not None}
            file.write(json.dumps(kept) + "\n")
    return folder


@pytest.fixture(scope="module")
def metrics() -> list[Metric]:
    return train_tiny(tiny_model(3), 30, held_out=tiny_text(512, seed=1))


def test_a_training_run_has_a_report_without_a_ladder(
    tmp_path: Path, metrics: list[Metric]
) -> None:
    folder = write_run(tmp_path / "mine", metrics)
    (folder / "validation.json").write_text('{"validation_loss": 1.5, "bits_per_byte": 2.25}')
    html = write_report(folder).read_text("utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    for words in (
        "One transformer was trained",
        "30 steps, 7,680 tokens",
        "2.2500 bits a byte",
        "Gradient flow",
        "Updates against weights",
        "usual for AdamW",
        "Activations",
        "blocks.2.feed_forward.down.weight",
        "healthy",
    ):
        assert words in text, words
    assert html.count("<svg") == 1 + 3  # one of losses; no unit sleeps, so no panel for that
    assert "The ladder" not in text
    assert not re.search(r"<script|https?://|url\(|nan", html)


def test_an_uninspected_run_says_how_to_look_inside(tmp_path: Path, metrics: list[Metric]) -> None:
    plain = [m for m in metrics if m.inspection is None]
    html = render_report(read_run_files(write_run(tmp_path / "plain", plain)))
    assert "train.inspect_every=50 records it" in html
    assert html.count("<svg") == 1


def test_what_was_written_is_what_is_read(tmp_path: Path, metrics: list[Metric]) -> None:
    path = write_run(tmp_path / "run", metrics) / "metrics.jsonl"
    assert read_metrics(path) == tuple(metrics)


def test_a_folder_with_neither_results_nor_metrics_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match=r"no ladder\.json and no metrics\.jsonl"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("looked", "message"),
    [
        ('{"blocks": ["a", "b"], "gradients": {}, "updates": {}, "silent": [0]}', "for each of"),
        ('{"blocks": ["a"], "gradients": {"w": "x"}, "updates": {}}', "gradients.w takes a number"),
        ('{"blocks": []}', "inspection.gradients is missing"),
    ],
    ids=["length", "type", "missing"],
)
def test_a_malformed_inspection_is_named_with_its_line(
    tmp_path: Path, looked: str, message: str
) -> None:
    row = '{"stage": "pretrain", "step": 1, "inspection": ' + looked + "}\n"
    (tmp_path / "metrics.jsonl").write_text('{"stage": "pretrain", "step": 1, "loss": 3}\n' + row)
    with pytest.raises(UserError, match=f"line 2.*{re.escape(message)}"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_panels_cope_with_gaps_zeros_and_many_looks() -> None:
    empty = Inspection((), {}, {})
    assert inspection_panels([(1, empty)]) == []
    zeros = Inspection(
        ("trunk.blocks.0", "judge.0"),
        {"trunk.blocks.0.up": 0.0, "judge.0.<i>": 2.0},
        {"trunk.blocks.0.up": None, "judge.0.<i>": 0.0},
        residual=(0.0, None, 1.0),
        silent=(None, 0.5),
    )
    panels = {p.title: p.svg for p in inspection_panels([(s, zeros) for s in range(1, 500)])}
    assert set(panels) == {"Gradient flow", "Activations", "Silent units"}
    # one cell for each column and the shades of the scale
    assert panels["Silent units"].count('class="cell"') == MAX_COLUMNS + 12
    assert "judge 0" in panels["Gradient flow"]
    assert "<i>" not in panels["Gradient flow"]


def test_looks_are_those_of_a_stage(metrics: list[Metric]) -> None:
    assert [step for step, _ in looks_of(metrics, "pretrain")] == [1, 5, 10, 15, 20, 25, 30]
    assert looks_of(metrics, "direct") == []


def test_a_stage_sentence_tells_the_lowest_validation(tmp_path: Path) -> None:
    rows = [Metric("a", i, loss=3 - i / 10, tokens=10 * i, seconds=float(i)) for i in range(1, 9)]
    rows += [Metric("a", 4, validation_loss=1.0), Metric("a", 8, validation_loss=1.5)]
    files = read_run_files(write_run(tmp_path / "run", rows))
    assert training_summary(files) == [
        "a: 8 steps, 80 tokens, 8.0 s; the training loss went from 2.9 to 2.2; "
        "the validation loss ended at 1.5 (lowest 1)."
    ]
    (stage,) = stages_of(files)
    assert stage.panels == ()
    assert [found.kind for found in stage.diagnoses] == ["overfitting"]
