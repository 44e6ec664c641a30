"""A made-up run folder with every file the report reads."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from glassmind.statistics import wilson_interval

ACCURACY = {  # on test, longer, reworded; tokens written for a problem
    "direct": (0.186, 0.042, 0.121, 3),
    "chain-of-thought": (0.842, 0.421, 0.702, 52),
    "single-sample": (0.801, 0.371, 0.655, 53),
    "self-consistency": (0.861, 0.455, 0.704, 846),
    "log-probability-vote": (0.866, 0.452, 0.711, 846),
    "verifier-vote": (0.912, 0.562, 0.781, 846),
    "verifier-best-of-n": (0.895, 0.401, 0.766, 846),
    "any-of-k": (0.962, 0.701, 0.893, 846),
}
AGAINST = {
    "chain-of-thought": "direct",
    "self-consistency": "chain-of-thought",
    "log-probability-vote": "self-consistency",
    "verifier-vote": "self-consistency",
    "verifier-best-of-n": "self-consistency",
}


def ladder_json() -> dict[str, Any]:
    rows = []
    for rung, (*shares, tokens) in ACCURACY.items():
        for name, share in zip(("test", "longer", "reworded"), shares, strict=True):
            low, high = wilson_interval(round(share * 2000), 2000)
            base = AGAINST.get(rung)
            p = None if base is None else 0.21 if rung == "log-probability-vote" else 0.0004
            if name == "reworded" and rung == "self-consistency":
                p = 0.83
            comparisons = [{"against": base, "p_value": p, "gained": 40, "lost": 12}]
            if rung == "self-consistency":
                comparisons.append({**comparisons[0], "against": "single-sample", "p_value": 1e-9})
            rows.append(
                {"rung": rung, "slice": name, "n": 2000, "correct": round(share * 2000),
                 "accuracy": round(share * 2000) / 2000, "ci_low": low, "ci_high": high,
                 "against": base, "p_value": p, "prompt_tokens": 31.0,
                 "completion_tokens": tokens, "seconds": tokens / 1e4,
                 "judged_tokens": 900.0 if rung.startswith("verifier") else 0.0,
                 "comparisons": comparisons if base else []}
            )  # fmt: skip
    return {"schema": 2, "recipe": "demo", "commit": "1f3a9c2", "seed": 0, "rows": rows}


def metrics_lines() -> list[str]:
    rng = random.Random(0)
    lines = []
    for stage, floor in (("direct", 1.55), ("chain-of-thought", 0.12), ("verifier", 0.31)):
        for step in range(1, 601):
            loss = floor + 2.6 * 0.985**step + rng.gauss(0, 0.02)
            line: dict[str, Any] = {
                "stage": stage, "step": step, "loss": loss, "tokens": 4096 * step, "lr": 0.02,
                "seconds": 0.1 * step, "tokens_per_second": 19_000.0,
            }  # fmt: skip
            lines.append(json.dumps(line))
            if step % 60 == 0:
                check: dict[str, Any] = {"stage": stage, "step": step}
                check["validation_loss"] = loss + 0.02
                lines.append(json.dumps(check))
    lines.append('{"stage": "direct", "step": 601, "loss": NaN}')
    return lines


def examples_json() -> list[dict[str, Any]]:
    rng = random.Random(1)
    made = []
    for i in range(8):
        boxes, each, sold = rng.randint(3, 9), rng.randint(5, 12), rng.randint(2, 9)
        total, left = boxes * each, boxes * each - sold
        gold = [f"pencils: {boxes}*{each}={total}", f"left: {total}-{sold}={left}"]
        nodes: list[dict[str, Any]] = []
        vote: dict[str, int] = {}
        for _ in range(16):
            slip = rng.random() < (0.25 if i < 4 else 0.7)
            wrong = rng.choice([-10, 1, 10]) if slip else 0
            product = rng.choice([f"{boxes}*{each}", f"{each}*{boxes}"])
            score = rng.uniform(0, 0.5) if slip else rng.uniform(0.5, 1)
            answer = str(left + wrong)
            nodes += [
                {"parent": None, "kind": "step", "text": f"pencils: {product}={total}",
                 "step_score": 0.97, "valid": True, "logprob": -rng.uniform(0.2, 2)},
                {"parent": len(nodes), "kind": "step", "text": f"left: {total}-{sold}={answer}",
                 "step_score": score, "valid": not slip, "logprob": -rng.uniform(0.2, 2)},
                {"parent": len(nodes) + 1, "kind": "answer", "text": answer, "answer": answer,
                 "correct": not slip, "score": score},
            ]  # fmt: skip
            vote[answer] = vote.get(answer, 0) + 1
        nodes.append({"parent": None, "kind": "step", "text": "pencils", "closed": False})
        majority = max(vote, key=lambda answer: vote[answer])
        answers = {"direct": "7", "chain-of-thought": str(left), "self-consistency": majority,
                   "verifier-vote": str(left)}  # fmt: skip
        made.append(
            {"question": f"Mia has {boxes} boxes of {each} pencils and gives {sold} pencils to her "
             "sister. The boxes are blue. How many pencils does she have left?",
             "answer": str(left), "gold_steps": gold, "method": "verifier-vote",
             "solved": majority == str(left), "nodes": nodes, "vote": vote, "answers": answers,
             "single_chains": [
                 {"method": "chain-of-thought", "steps": gold, "answer": str(left)}
             ]}
        )  # fmt: skip
    return made


def attention_json() -> dict[str, Any]:
    text = (
        "<|question|> M ia  has   4  boxes  of   1 2  pencils .  How  many ? <|think|> pencils "
        ":   4 * 1 2 = 4 8 <|step|> left :   4 8 - 6 = 4 2 <|step|> <|/think|> <|answer|> 4 2"
    )
    tokens = re.split(r"(?<=\S) ", text)
    rng = random.Random(2)
    weights = []
    for i in range(len(tokens)):
        raw = [rng.random() ** 12 + (i - j < 3) for j in range(i + 1)]
        weights.append([w / sum(raw) for w in raw] + [0.0] * (len(tokens) - i - 1))
    return {"layer": 2, "head": 1, "tokens": tokens, "weights": weights}


def make_run(folder: Path) -> Path:
    """A run folder with every file the report reads."""
    folder.mkdir()
    steps = [
        {"rung": rung, "slice": name, "steps": k, "n": 500, "correct": right,
         "ci_low": wilson_interval(right, 500)[0], "ci_high": wilson_interval(right, 500)[1]}
        for rung in ACCURACY
        for name, lengths in (("test", (2, 3, 4)), ("longer", (5, 6)), ("reworded", (2, 3, 4)))
        for k in lengths
        for right in [round(500 * ACCURACY[rung][0] ** (k / 2.6))]
    ]  # fmt: skip
    votes = [
        {"rung": rung, "k": k, "n": 2000, "correct": right, "tokens_per_problem": 53.0 * k,
         "ci_low": wilson_interval(right, 2000)[0], "ci_high": wilson_interval(right, 2000)[1]}
        for rung, top in (("self-consistency", 0.86), ("log-probability-vote", 0.866),
                          ("verifier-vote", 0.912), ("verifier-best-of-n", 0.89),
                          ("any-of-k", 0.96))
        for k in (1, 2, 4, 8, 16)
        for right in [round(2000 * (top - (top - 0.8) / k))]
    ]  # fmt: skip
    run = {
        "commit": "1f3a9c2", "seed": 0, "created": "2026-01-31 12:00", "seconds":
        {"data": 4.1, "direct": 120.0, "chain-of-thought": 121.5, "verifier": 90.0, "ladder": 75.0},
        "machine": {"processor": "2 cores", "memory": "8 GB"}, "versions": {"torch": "2.13"},
    }  # fmt: skip
    for name, value in {
        "ladder": ladder_json(), "by_steps": steps, "votes": votes, "examples": examples_json(),
        "attention": attention_json(), "run": run,
        "dependencies": {
            "before": {"operands": 420, "evenly": 0.031, "shares": [[0.03, 0.02], [0.04, 0.01]]},
            "after": {"operands": 420, "evenly": 0.031, "shares": [[0.05, 0.02], [0.07, 0.613]]},
        },
    }.items():  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("\n".join(metrics_lines()) + "\n", encoding="utf-8")
    recipe = 'name = "demo"\n\n[model]\nd_model = 128\nn_layers = 4 # <b>small</b>\n'
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture
def run(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "demo"))
