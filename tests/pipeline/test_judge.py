"""A judge at the other end of an OpenAI-compatible address."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from http_stand_in import Answer, stand_in

from glassmind.cli.main import main
from glassmind.evaluate import bradley_terry
from glassmind.evaluate.graded_problems import GradedProblem, MethodAnswer, write_problems

GREEDY = "chain-of-thought"


def answers(model: str, said: str, n: int = 4) -> list[GradedProblem]:
    return [
        GradedProblem(f"p{k}", f"Question {k} {{first}}?", "1", model,
                      (MethodAnswer(GREEDY, None, False, (f"{said} {k}",)),))
        for k in range(n)
    ]  # fmt: skip


def judging(verdict: Callable[[str, str], str]) -> Callable[[str, dict[str, Any]], Answer]:
    """A server whose model gives a verdict on the two answers that it is shown."""

    def respond(path: str, body: dict[str, Any]) -> Answer:
        if path.endswith("/models"):
            return Answer({"data": [{"id": "judge"}]})
        text = body["messages"][-1]["content"]
        first = text.split("Answer A:\n")[1].split("\n\nAnswer B:")[0]
        second = text.split("Answer B:\n")[1].split("\n\nReply")[0]
        said = verdict(first, second)
        message = {"role": "assistant", "content": said}
        return Answer({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}})

    return respond


def judged(
    verdict: Callable[[str, str], str], files: list[Path], capsys: pytest.CaptureFixture[str],
    *options: str,
) -> str:  # fmt: skip
    with stand_in(judging(verdict)) as server:
        argv = ["judge", *map(str, files), "--judge", f"{server.address}/v1", *options]
        assert main(argv) == 0
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bradley_terry, "RESAMPLES", 40)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for name, said in (("a", "good"), ("b", "bad"), ("c", "ugly")):
        found.append(tmp_path / f"{name}.jsonl")
        write_problems(found[-1], answers(name, said))
    return found


def test_a_fair_judge(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    def prefers_good(first: str, second: str) -> str:
        ranks = [["ugly", "bad", "good"].index(text.split()[0]) for text in (first, second)]
        return "I looked at A and B.\nA" if ranks[0] > ranks[1] else "B"

    record = json.loads(judged(prefers_good, files, capsys, "--json"))
    assert (record["pairs"], record["consistent"], record["picked_a"]) == (12, 1.0, 0.5)
    points = {model["name"]: model["points"] for model in record["models"]}
    assert points == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert record["models"][0]["ci_low"] > record["models"][1]["ci_high"]
    text = judged(prefers_good, files[:2], capsys, "--limit", "3")
    assert "3 pairs judged by judge" in text and "a won 3, b won 0" in text


def test_a_judge_that_takes_what_comes_first(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(judged(lambda first, second: "A", files[:2], capsys, "--json"))
    assert (record["consistent"], record["picked_a"]) == (0.0, 1.0)
    assert [model["score"] for model in record["models"]] == [0.0, 0.0]
    assert record["judgements"][0]["shown"] == "first"
    assert record["judgements"][0]["swapped"] == "second"


def test_a_judge_without_an_opinion(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert "8 verdicts without a letter" in judged(lambda *_: "hm", files[:2], capsys)
    assert main(["judge", str(files[0]), "--judge", "smollm2"]) == 2
    assert "two or more files" in capsys.readouterr().err
