"""The tasks: their names, their loaders, and what is measured on them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tiny_servers import chat_model, write_run

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.llm import LocalLLM, open_llm
from glassmind.pipeline.evaluate import grade_task, task_problems, with_task_prompt
from glassmind.pipeline.likelihood_tasks import PER_CHARACTER, WHOLE, measure_text
from glassmind.pipeline.tasks.prompts import prompt_name, prompt_names, shipped_prompt
from glassmind.pipeline.tasks.registry import require_task, tasks
from glassmind.pipeline.tasks.task import AnswerTask
from glassmind.pipeline.tasks.unanswerable import abstention_rows
from glassmind.reason.method import Solution
from glassmind.records import Node, Problem, Trace
from glassmind.runs.models import shipped_run
from glassmind.runs.recipe import SamplingConfig

SHORT = SamplingConfig(samples=1, max_new_tokens=5)


@pytest.fixture(scope="module")
def llm() -> LocalLLM:
    return chat_model(template=None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("tasks") / "run")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chess", "there is no task 'chess'"),
        ("mmlu", "needs a FILE: mmlu:FILE"),
        ("mmlu:", "needs a FILE"),
        ("mmlu:none.csv", "there is no file none.csv"),
        ("gsm8k:x", "takes nothing after its name"),
        ("distractor:chess", "there is no task 'chess'"),
        ("none.jsonl", "there is no file of problems"),
    ],
)
def test_a_wrong_name_is_refused(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        require_task(name)


def test_every_task_is_described() -> None:
    found = tasks()
    assert len({task.name for task in found}) == len(found) >= 20
    for task in found:
        assert task.about and len(task.about) < 110
        if isinstance(task, AnswerTask) and task.prompt:
            assert "{question}" in shipped_prompt(task.prompt).text
    assert {prompt_name(shipped_prompt(name).text) for name in prompt_names()} == set(
        prompt_names()
    )
    assert (prompt_name("{question}"), prompt_name("Hm {question}")) == ("bare", "own")


def test_problems_of_other_problems() -> None:
    recipe = shipped_run().recipe()
    plain = task_problems("validation", recipe, 12)
    changed = task_problems("distractor:validation", recipe, 3)
    assert [p.answer for p in changed] == [p.answer for p in plain[:3]]
    twice = task_problems("question-first:distractor:validation", recipe, 2)
    assert twice[0].id.endswith("-distractor-question-first")
    with pytest.raises(UserError, match="grades by itself"):
        task_problems("distractor:countdown", recipe, 1)


def test_a_task_brings_its_prompt(llm: LocalLLM) -> None:
    prompt = shipped_prompt("unanswerable-1").text
    assert with_task_prompt(llm, "unanswerable-1").prompts.text == prompt
    assert with_task_prompt(llm, "").prompts.text == "{question}"
    own = llm.with_prompts(type(llm.prompts)("Hm {question}"))
    assert with_task_prompt(own, "unanswerable-1").prompts.text == "Hm {question}"


def test_countdown_is_graded_by_itself(llm: LocalLLM) -> None:
    found = grade_task("countdown", llm, limit=2, sampling=SHORT)
    assert [row.rung for row in found.ladder.rows] == ["chain-of-thought", "single-sample"]
    assert found.ladder.provenance is not None
    assert found.ladder.provenance.prompt == "last-line-1"


def solution(problem: Problem, text: str, answer: str | None) -> Solution:
    trace = Trace.of_chains(problem.id, [[Node(None, "text", text, finish="stop", answer=answer)]])
    return Solution.of(answer, trace, 0)


def test_declining_is_counted() -> None:
    problems = [Problem(str(n), f"{n}?", "4" if n < 3 else "unanswerable") for n in range(6)]
    replies = [("So 4", "4"), ("unknown", None), ("So 5", "5"),
               ("It is unanswerable.", None), ("So 4", "4"), ("unanswerable", None)]  # fmt: skip
    found = [solution(p, *reply) for p, reply in zip(problems, replies, strict=True)]
    (row,) = abstention_rows(problems, {"m": found})
    assert (row.answerable, row.unanswerable, row.right) == (3, 3, 1)
    assert (row.declined_rightly, row.declined_wrongly) == (2, 1)
    assert row.precision == row.recall == row.f1 == pytest.approx(2 / 3)


def test_multiple_choice(llm: LocalLLM, tmp_path: Path) -> None:
    path = tmp_path / "mmlu.jsonl"
    rows = [
        {"question": f"What is {n}+1?", "choices": [str(n + k) for k in range(4)], "answer": 1,
         "subject": "high_sums"}
        for n in range(5)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    for name in (f"mmlu:{path}", f"choices:{path}"):
        found = grade_task(name, llm)
        assert [row.rung for row in found.ladder.rows] == [WHOLE, PER_CHARACTER]
        assert {row.n for row in found.ladder.rows} == {5}
        assert [sum(p.answers[way].correct for p in found.problems) for way in (0, 1)] == [
            row.correct for row in found.ladder.rows
        ]
    assert "about high sums.\n\nWhat is 0+1?\nA. 0\nB. 1" in (
        grade_task(f"mmlu:{path}", llm, limit=1).problems[0].question
    )
    with pytest.raises(UserError, match="no methods"):
        grade_task(f"mmlu:{path}", llm, shots=1)


def test_a_run_of_ours_chooses_its_direct_answer(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"question": "What is 1+1?", "choices": ["2", "3"], "answer": 0}')
    found = grade_task(f"choices:{path}", open_llm(run))
    assert found.problems[0].answer == "2" and found.ladder.rows[0].n == 1


def test_the_probability_of_a_text(
    llm: LocalLLM, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "Mia has 3 boxes"}\n{"text": "What is 12 times 7?"}')
    found = measure_text(f"perplexity:{path}", llm)
    assert [one.words for one in found.documents] == [4, 5]
    assert [one.bytes for one in found.documents] == [15, 19]
    assert found.bits_per_byte == pytest.approx(-found.logprob / 34 / math.log(2))
    assert found.word_perplexity == pytest.approx(math.exp(-found.logprob / 9))
    argv = ["eval", "--task", f"perplexity:{path}", "--model", str(run)]
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 2
    assert main([*argv, "--shots", "2"]) == 2
    assert "--shots does not apply" in capsys.readouterr().err
    wiki = tmp_path / "wiki.txt"
    wiki.write_text(" = One = \n\n Mia , 3 boxes . \n = Two = \n\n What ? \n")
    articles = measure_text(f"wikitext:{wiki}", llm)
    assert [one.words for one in articles.documents] == [10, 7]
    assert [one.bytes for one in articles.documents] == [29, 20]
    assert len(measure_text(f"wikitext:{wiki}", llm, limit=1).documents) == 1
    with pytest.raises(UserError, match="likelihood_tasks"):
        grade_task(f"perplexity:{path}", llm)


def test_reasoning_gym_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="glassmind\\[reasoning-gym\\]"):
        task_problems("reasoning-gym:basic_arithmetic", shipped_run().recipe(), 1)


def test_the_list_of_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--tasks"]) == 0
    shown = capsys.readouterr().out
    assert "mmlu:FILE" in shown and "boxed-1" in shown
    assert main(["eval", "--tasks", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["prompts"]["boxed-1"] == shipped_prompt("boxed-1").sha256


def test_questions_that_stand_in_a_training_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = open_llm(run).recipe
    assert recipe is not None
    known = task_problems("validation", recipe, 3)[1]
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"question": f"Well: {known.question}", "answer": "1"}))
    argv = ["eval", "--task", "validation", "--limit", "3", "--max-tokens", "1"]
    argv += ["--method", "chain-of-thought", "--against", str(path), "--model", str(run)]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "1 of 3 questions" in shown and known.id in shown and "questions not found" in shown
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seen"]["found"] == [known.id]
