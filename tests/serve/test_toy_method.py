"""A registered method is everywhere: table, JSON, report, ask, eval, methods, the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import step_beam
from command_line import complaint, product
from tiny_servers import serving

from glassmind.data import save_problems
from glassmind.evaluate.ladder.rows import rows_by_steps
from glassmind.evaluate.ladder.table import ladder_text
from glassmind.evaluate.report.page import write_report
from glassmind.generate import SamplingParams
from glassmind.llm.opening import open_local
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.pipeline.evaluate import grade_task
from glassmind.pipeline.ladder import climb
from glassmind.pipeline.report_files import examples, rows_by_votes
from glassmind.reason import registry
from glassmind.reason.method import Budget
from glassmind.reason.session import Session
from glassmind.records import Problem, Step
from glassmind.runs.models import load
from glassmind.serialization import encode, write_record
from glassmind.serve.schemas.responses import Reason

QUESTION = "Mia has 12 boxes of 7 pencils. How many pencils is that?"
PROBLEMS = [Problem(f"p{n}", f"What is {n} times 7?", str(7 * n), (Step("a"),)) for n in (3, 12)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registry.registered(step_beam.METHOD):
        yield


def test_table_json_and_report_have_it(run_folder: Path, tmp_path: Path) -> None:
    save_problems(PROBLEMS, tmp_path / "mine.jsonl")
    ladder = grade_task(str(tmp_path / "mine.jsonl"), load(run_folder)).ladder
    row = ladder.rows[-1]
    assert (row.rung, row.against) == ("toy-beam", "self-consistency")
    vote = ladder.row("self-consistency", row.slice)
    assert vote is not None and row.completion_tokens > vote.completion_tokens
    assert "step beam <toy>" in ladder_text(ladder).splitlines()[-1]
    assert json.loads(json.dumps(encode(ladder)))["rows"][-1]["rung"] == "toy-beam"

    model = open_local(str(run_folder))
    params = SamplingParams.of(model.default_sampling, seed=0)
    session = Session([model], params, params)
    result = climb(PROBLEMS, session, registry.usable(session.has), Budget(3))
    shown = examples(PROBLEMS, result.solutions)
    assert {example.method for example in shown} == {"toy-beam"}
    votes = rows_by_votes(PROBLEMS, session, Budget(3))
    assert [row.k for row in votes if row.rung == "toy-beam"] == [1, 2, 3]
    write_record(tmp_path / "ladder.json", ladder)
    write_record(tmp_path / "examples.json", shown)
    write_record(tmp_path / "votes.json", votes)
    steps = rows_by_steps(step_beam.METHOD, "test", PROBLEMS, result.verdicts["toy-beam"])
    write_record(tmp_path / "by_steps.json", steps)
    html = write_report(tmp_path).read_text("utf-8")
    assert "step beam &lt;toy&gt;" in html and "<toy>" not in html
    assert step_beam.METHOD.explanation in html
    assert '<ul class="tree">' in html
    assert html.count("step beam &lt;toy&gt;, k = ") == 3
    assert "step beam &lt;toy&gt;, 1 step: " in html


def test_commands_take_it(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_problems(PROBLEMS, tmp_path / "mine.jsonl")
    model = ("--model", str(run_folder))
    listed = json.loads(product(capsys, "methods", "--json"))["methods"]
    assert listed[-1]["name"] == "toy-beam" and listed[-1]["needs"] == ["chain"]
    assert step_beam.METHOD.explanation in product(capsys, "methods")
    task = ("eval", "--task", str(tmp_path / "mine.jsonl"), *model, "--json")
    rows = json.loads(product(capsys, *task, "--method", "toy-beam"))["rows"]
    assert [row["rung"] for row in rows] == ["toy-beam"]
    answer = json.loads(product(capsys, "ask", QUESTION, *model, "--method", "toy-beam", "--json"))
    assert answer["method"] == "toy-beam"
    assert answer["cost"]["completion_tokens"] > 0
    for verb in (task, ("ask", QUESTION, *model)):
        said = complaint(capsys, *verb, "--method", "toy")
        assert "there is no method 'toy'; the methods are direct," in said
        assert "toy-beam" in said
    said = complaint(capsys, "ask", QUESTION, *model, "--method", "direct", "--samples", "3")
    assert "the method direct does not take --samples" in said
    said = complaint(capsys, "ask", QUESTION, *model, "--method", "direct", "--temperature", "1")
    assert "the method direct does not take --temperature" in said


def test_the_server_takes_it(run_folder: Path) -> None:
    offline = ask(QUESTION, load(run_folder), method="toy-beam", seed=3)
    assert isinstance(offline, Answer)
    body = {"question": QUESTION, "seed": 3, "method": "toy-beam"}
    with (
        serving(open_local(str(run_folder))) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        whole = Reason.model_validate(http.post("/v1/reason", json=body).json())
        assert (whole.method, whole.answer, whole.votes) == (
            "toy-beam", offline.text, offline.votes
        )  # fmt: skip
        assert [c.steps for c in whole.chains] == [list(c.steps) for c in offline.chains]
        assert whole.cost.completion_tokens == offline.cost.completion_tokens
        text = http.post("/v1/reason", json={**body, "stream": True}).text
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert events[0] == {
            "type": "start", "question": QUESTION, "method": "toy-beam", "samples": 3
        }  # fmt: skip
        assert [e["sample"] for e in events if e["type"] == "chain"] != []
        assert events[-1]["type"] == "answer"
        greedy = http.post("/v1/reason", json={"question": QUESTION, "method": "chain-of-thought"})
        assert len(Reason.model_validate(greedy.json()).chains) == 1
        for wrong, said in (
            ({"method": "toy"}, "there is no method 'toy'"),
            ({"method": "direct"}, "needs a model that answers directly"),
            ({"method": "any-of-k"}, "needs the reference answers"),
            ({"method": "single-sample", "samples": 2}, "does not take samples"),
        ):
            refused = http.post("/v1/reason", json={"question": QUESTION, **wrong})
            assert refused.status_code == 400
            assert said in refused.json()["error"]["message"]
