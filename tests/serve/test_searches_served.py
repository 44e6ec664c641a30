"""Searches through every door: asked here, through the server, and graded."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from command_line import product
from tiny_servers import serving

from glassmind.data import save_problems
from glassmind.llm.opening import open_local
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.records import Problem, Step
from glassmind.runs.models import load
from glassmind.serve.schemas.responses import Reason

QUESTION = "Mia has 12 boxes of 7 pencils. How many pencils is that?"


def test_the_server_searches_as_ask_does(run_folder: Path) -> None:
    llm = load(run_folder)
    with (
        serving(open_local(str(run_folder))) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        for name in ("step-beam", "tree-search", "program-aided"):
            offline = ask(QUESTION, llm, method=name, seed=3)
            assert isinstance(offline, Answer)
            body = {"question": QUESTION, "seed": 3, "method": name}
            whole = Reason.model_validate(http.post("/v1/reason", json=body).json())
            assert (whole.method, whole.answer, whole.votes) == (name, offline.text, offline.votes)
            assert [c.steps for c in whole.chains] == [list(c.steps) for c in offline.chains]
            assert whole.cost.completion_tokens == offline.cost.completion_tokens > 0
            assert whole.cost.judged_tokens == offline.cost.judged_tokens
        text = http.post("/v1/reason", json={**body, "method": "step-beam", "stream": True}).text
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert (events[0]["type"], events[-1]["type"]) == ("start", "answer")
        ended = [c for c in events[-1]["chains"] if c["finish"] == "stop"]
        told = [e for e in events if e["type"] == "chain"]
        assert [e["sample"] for e in told] == list(range(len(told)))
        assert len(told) >= len(ended)
        assert all(e["finish"] == "stop" for e in told)


def test_a_search_is_graded_when_it_is_named(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [Problem(f"p{n}", f"What is {n} times 7?", str(7 * n), (Step("a"),)) for n in (3, 9)]
    save_problems(problems, tmp_path / "mine.jsonl")
    task = ("eval", "--task", str(tmp_path / "mine.jsonl"), "--model", str(run_folder), "--json")
    rows = json.loads(product(capsys, *task, "--method", "tree-search"))["rows"]
    assert [row["rung"] for row in rows] == ["tree-search"]
    assert rows[0]["completion_tokens"] > 0
    usual = {row["rung"] for row in json.loads(product(capsys, *task))["rows"]}
    assert "program-aided" in usual
    assert not usual & {"step-beam", "tree-search", "self-refinement", "written-program"}
