"""``/v1/reason`` against ``ask``: the same chains, votes, scores; and a run's model in a chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tiny_servers import serving

from glassmind.llm.opening import open_local
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.runs.models import load
from glassmind.serve.schemas.responses import Reason

QUESTION = "Mia has  12 boxes of 7 pencils. How many pencils is that?"


@pytest.fixture(scope="module")
def http(run_folder: Path) -> Iterator[httpx2.Client]:
    served = open_local(str(run_folder))
    with serving(served) as address, httpx2.Client(base_url=address, timeout=60) as client:
        yield client


def test_the_answer_is_that_of_ask(http: httpx2.Client, run_folder: Path) -> None:
    offline = ask(QUESTION, load(run_folder), seed=3)
    assert isinstance(offline, Answer)
    served = Reason.model_validate(
        http.post("/v1/reason", json={"question": QUESTION, "seed": 3}).json()
    )
    assert served.answer == offline.text and served.votes == offline.votes
    assert served.weighted == pytest.approx(offline.weighted)
    for ours, theirs in zip(served.chains, offline.chains, strict=True):
        assert (ours.steps, ours.answer) == (list(theirs.steps), theirs.answer)
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
        assert ours.step_scores == pytest.approx(theirs.step_scores, abs=1e-5)


def test_what_was_checked_comes_with_the_answer(http: httpx2.Client, run_folder: Path) -> None:
    asked = {"question": QUESTION, "seed": 3}
    served = Reason.model_validate(http.post("/v1/reason", json=asked).json())
    offline = ask(QUESTION, load(run_folder), seed=3)
    assert isinstance(offline, Answer)
    assert served.chosen == offline.chosen and served.warning == offline.warning
    assert served.confidence is None  # this run was never calibrated
    for ours, chain, checks in zip(served.chains, offline.chains, offline.checks, strict=True):
        assert ours.equations_hold == list(checks.holds)
        assert ours.findings == list(checks.findings(chain.answer))


@pytest.mark.parametrize("stream", [False, True])
def test_a_sum_is_computed(http: httpx2.Client, stream: bool) -> None:
    body = {"question": "What is 12*13?", "stream": stream}
    text = http.post("/v1/reason", json=body).text
    if stream:
        event, done = (line for line in text.splitlines() if line)
        assert done == "data: [DONE]"
        text = json.dumps({**json.loads(event.removeprefix("data: ")), "type": None})
    found = json.loads(text)
    found.pop("type", None)
    answer = Reason.model_validate(found)
    assert (answer.answer, answer.method, answer.chains) == ("156", "calculator", [])
    told = http.post("/v1/reason", json={**body, "stream": False, "method": "chain-of-thought"})
    assert told.json()["method"] == "chain-of-thought" and told.json()["chains"]


def test_it_is_streamed_as_it_forms(http: httpx2.Client) -> None:
    body = {"question": QUESTION, "seed": 3, "samples": 4, "max_tokens": 40}
    whole = http.post("/v1/reason", json=body).json()
    text = http.post("/v1/reason", json={**body, "stream": True}).text
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    start = {"type": "start", "question": QUESTION, "method": "verifier-vote", "samples": 4}
    assert events[0] == start
    assert {"type": "answer", **whole} == events[-1]
    chains = [event for event in events if event["type"] == "chain"]
    assert sorted(chain["sample"] for chain in chains) == [0, 1, 2, 3]
    for chain in chains:
        steps = [e for e in events if e["type"] == "step" and e["sample"] == chain["sample"]]
        assert [step["text"] for step in steps] == chain["steps"]
        assert [step["step"] for step in steps] == list(range(len(steps)))
        assert all(events.index(step) < events.index(chain) for step in steps)


def test_a_greedy_method_takes_no_temperature(http: httpx2.Client) -> None:
    asked = {"question": QUESTION, "method": "chain-of-thought", "max_tokens": 2}
    refused = http.post("/v1/reason", json={**asked, "temperature": 0.5})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "temperature"
    for temperature in (None, 0, 1e-9):
        body = {**asked, "temperature": temperature}
        assert http.post("/v1/reason", json=body).status_code == 200
    sampled = {**asked, "method": "single-sample", "temperature": 0.5}
    assert http.post("/v1/reason", json=sampled).status_code == 200


def test_a_run_answers_in_a_chat(http: httpx2.Client) -> None:
    assert http.get("/v1/models").json()["data"][0]["format"] == "question"
    turns = [
        {"role": "user", "content": "nothing"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    asked = {"max_tokens": 10, "temperature": 0}
    long = http.post("/v1/chat/completions", json={"messages": turns, **asked}).json()
    short = http.post("/v1/chat/completions", json={"messages": turns[2:], **asked}).json()
    assert long["choices"] == short["choices"]
    assert "reasoning_content" in long["choices"][0]["message"]
    direct = {"messages": turns, **asked, "enable_thinking": False}
    answer = http.post("/v1/chat/completions", json=direct).json()["choices"][0]["message"]
    assert "reasoning_content" not in answer and answer["content"]
    tools = [{"type": "function", "function": {"name": "add"}}]
    refused = http.post("/v1/chat/completions", json={"messages": turns, "tools": tools})
    assert refused.status_code == 400 and "supports no tools" in refused.text
