"""Runs of earlier versions: their tables, examples and metrics still make a report."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from glassmind.errors import UserError
from glassmind.evaluate.examples import read_examples
from glassmind.evaluate.ladder.findings import findings, summary
from glassmind.evaluate.report.page import write_report
from glassmind.evaluate.run_files import read_ladder, read_run_files

EXAMPLE: dict[str, Any] = {
    "question": "Mia has 4 boxes of 12 pencils and gives 6 away. How many are left?",
    "answer": "42", "gold_steps": ["pencils: 4*12=48", "left: 48-6=42"], "solved": True,
    "chains": [
        {"steps": ["pencils: 4*12=48", "left: 48-6=42"], "step_scores": [0.9, 0.8],
         "step_valid": [True, True], "answer": "42", "correct": True, "logprob": -0.5,
         "score": 0.95},
        {"steps": ["pencils: 4*12=48", "left: 48+6=54"], "step_scores": [0.9],
         "step_valid": [True, False], "answer": "54", "correct": False, "logprob": -2.0,
         "score": 0.25},
        {"steps": [], "answer": None, "correct": False, "logprob": -9.0},
    ],
    "vote": {"42": 1, "54": 1}, "self_consistency": "42", "verifier": "42",
    "greedy": {"steps": ["left: 48-6=42"], "answer": "42"},
}  # fmt: skip


def test_the_shipped_ladder_opens() -> None:
    path = Path(str(resources.files("glassmind"))) / "weights" / "word-problems" / "ladder.json"
    written = json.loads(path.read_text("utf-8"))
    assert written["schema"] == 1
    ladder = read_ladder(path)
    assert ladder.schema == 2
    assert [row.correct for row in ladder.rows] == [row["correct"] for row in written["rows"]]
    direct, chain = ladder.rows[:2]
    assert (direct.rung, chain.against) == ("direct", "direct")
    assert chain.comparisons[0].against == "direct"
    assert direct.completion_tokens == written["rows"][0]["tokens_per_problem"]
    assert direct.seconds == written["rows"][0]["seconds"] / direct.n
    assert direct.prompt_tokens is None and direct.judged_tokens is None
    assert findings(ladder) and "direct" in " ".join(summary(ladder))


def test_old_examples_are_traces(tmp_path: Path) -> None:
    path = tmp_path / "examples.json"
    path.write_text(json.dumps([EXAMPLE]), "utf-8")
    (example,) = read_examples(path)
    assert (example.method, example.solved) == ("verifier-vote", True)
    assert example.answers == {
        "chain-of-thought": "42", "self-consistency": "42", "verifier-vote": "42"
    }  # fmt: skip
    assert example.single_chains[0].steps == ("left: 48-6=42",)
    assert [node.parent for node in example.nodes] == [None, 0, 1, None, 3, 4, None]
    assert [node.valid for node in example.nodes[:6]] == [True, True, None, True, False, None]
    assert [node.step_score for node in example.nodes[3:5]] == [0.9, None]
    ends = [example.nodes[index] for index in (2, 5, 6)]
    assert [(n.answer, n.correct, n.score, n.logprob) for n in ends] == [
        ("42", True, 0.95, -0.5),
        ("54", False, 0.25, -2.0),
        (None, False, None, -9.0),
    ]
    path.write_text(json.dumps([{**EXAMPLE, "verifier": None, "greedy": None}]), "utf-8")
    (example,) = read_examples(path)
    assert (example.method, example.answers) == ("self-consistency", {"self-consistency": "42"})


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ({"steps": ["a"], "step_scores": [0.1, 0.2]}, r"0\.chains\.0 has more marks than steps"),
        ({"steps": ["a"], "step_valid": [True, None]}, "has more marks than steps"),
        ({"steps": "a"}, "must be an object with a list of steps"),
        ([], "must be an object with a list of steps"),
        ({"steps": [3]}, r"0\.nodes\.0\.text takes"),
    ],
)
def test_damaged_old_examples_are_refused(chain: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.json"
    path.write_text(json.dumps([{**EXAMPLE, "chains": [chain]}]), "utf-8")
    with pytest.raises(UserError, match=said):
        read_examples(path)


def test_an_old_run_has_a_report(run: Path) -> None:
    """The same run, written by an earlier version."""
    ladder = json.loads((run / "ladder.json").read_text("utf-8"))
    for row in ladder["rows"]:
        row["tokens_per_problem"] = row.pop("completion_tokens")
        del row["prompt_tokens"], row["judged_tokens"]
    (run / "ladder.json").write_text(json.dumps({**ladder, "schema": 1}), "utf-8")
    for name in ("ladder.json", "by_steps.json", "votes.json", "metrics.jsonl"):
        text = (run / name).read_text("utf-8")
        (run / name).write_text(text.replace('"direct"', '"base"'), "utf-8")
    (run / "examples.json").write_text(json.dumps([EXAMPLE] * 2), "utf-8")
    files = read_run_files(run)
    assert files.metrics is not None and {m.stage for m in files.metrics} >= {"direct"}
    assert files.by_steps is not None and files.by_steps[0].rung == "direct"
    html = write_report(run).read_text("utf-8")
    assert ">base<" not in html and "chains right" in html and "Chain of thought" in html
