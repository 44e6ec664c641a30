"""Problems that are watched during learning from reward, and the report that shows them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from interrupt import Stop
from reward_runs import EVEN, TINY, offer
from untrained_runs import untrained_run

from glassmind.cli.main import main
from glassmind.cli.settings import apply_overrides
from glassmind.evaluate.report.watched_section import watched_histories
from glassmind.pipeline.training import run_training
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.runs.reward_groups import read_groups
from glassmind.runs.watched_problems import WatchedReply, WatchedStep, read_watched

SMALL = (
    *("train.steps=4", "train.row_tokens=192", "train.precision=float32", "train.log_every=1"),
    *("train.checkpoint_minutes=0", "train.warmup=1", "train.muon_lr=0.02", "train.adamw_lr=0.01"),
    *("problems.train=16", "problems.validation=12", "problems.test=4"),
    *("sampling.max_new_tokens=12", "options.questions=2", "options.group=4", "options.watch=10"),
    *("options.reward=even", "start=start"),
)


@pytest.fixture(autouse=True)
def start(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to start from, and a reward that differs also where no answer is right."""
    offer(monkeypatch, EVEN)
    untrained_run(scratch / "start", "chain-of-thought", TINY)


def recipe(*settings: str) -> Recipe:
    return apply_overrides(read_recipe("grpo"), [*SMALL, *settings])


def test_watching_changes_nothing_and_survives_an_interruption(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_training(recipe(), Path("whole"))
    rows = read_watched(Path("whole"))
    assert [row.step for row in rows] == [1, 2, 3, 4]
    assert all(row.n == 10 and len(row.replies) == 8 for row in rows)
    assert len({tuple(reply.problem for reply in row.replies) for row in rows}) == 1
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe(), Path("cut"), progress=Stop(2))
    run_training(recipe(), Path("cut"), resume=True)
    assert read_watched(Path("cut")) == rows
    assert read_groups(Path("cut")) == read_groups(Path("whole"))
    run_training(recipe("options.watch=0"), Path("blind"))
    model = "models/chain-of-thought/model.safetensors"
    assert (Path("blind") / model).read_bytes() == (Path("whole") / model).read_bytes()
    assert not (Path("blind") / "watched.jsonl").exists()

    metrics = [json.loads(line) for line in Path("whole/metrics.jsonl").read_text().splitlines()]
    assert all(0 <= row["watched"] <= 1 and "ratio_far" in row for row in metrics)
    capsys.readouterr()
    assert main(["report", "whole"]) == 0
    html = Path("whole/report.html").read_text("utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    for words in (
        "Learning from reward",
        "Solved",
        "Advantages",
        "Ratios at the first pass",
        "The same problems as training went on",
        "Pass@k before and after was not",
    ):
        assert words in text, words  # fmt: skip
    assert not re.search(r"<script|>nan", html)
    assert main(["explain", "loss", "whole", "--step", "3"]) == 0
    capsys.readouterr()
    assert main(["explain", "loss", "whole", "--step", "3", "--policy", "finished", "--json"]) == 0
    own = json.loads(capsys.readouterr().out)["own"]
    ratios = [t["ratio"] for one in own["completions"] for t in one["tokens"]]
    assert max(abs(ratio - 1) for ratio in ratios) > 1e-3  # the policy has moved since


def reply(text: str, right: bool) -> WatchedReply:
    return WatchedReply("p", "<b>?", "3", text, "3" if right else None, right)


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ([True, True], "stayed right"),
        ([True, False, True], "right again"),
        ([False, True], "learned"),
        ([True, False], "lost"),
        ([False, False], "stayed wrong"),
    ],
)
def test_what_became_of_a_problem(rights: list[bool], said: str) -> None:
    rows = [
        WatchedStep(step, 1, int(right), (reply(f"text {right}", right),))
        for step, right in enumerate(rights)
    ]
    (history,) = watched_histories([*rows, replace(rows[-1], step=9)])
    assert history.finding == said
    changes = sum(before != after for before, after in pairwise(rights))
    assert len(history.replies) == 1 + changes  # a reply that stays the same stands once
