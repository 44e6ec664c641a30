"""A model behind an address: our own server, and servers that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from http_stand_in import Answer, stand_in
from tiny_servers import chat_model, serving, write_run

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm import LLM, LocalLLM, PromptFormat, RemoteLLM, http_json, open_llm
from glassmind.llm.opening import open_local
from glassmind.llm.replies import reply_text
from glassmind.pipeline.evaluate import grade_task
from glassmind.records import Problem, Trace

PROBLEMS = [Problem(f"p{n}", q, "84") for n, q in enumerate(("What is 12 times 7?", "Mia has 3?"))]
PARAMS = SamplingParams(max_new_tokens=24, temperature=0.8, samples=3, seed=5)
GREEDY = replace(PARAMS, temperature=0.0, samples=1)


# ------------------------------------------------------------------------------- our own server


def said(traces: list[Trace]) -> list[list[tuple[str, str | None, str, tuple[str, ...]]]]:
    return [
        [(reply_text(c), c.answer, c.finish, c.steps) for c in trace.completions]
        for trace in traces
    ]


def tokens(trace: Trace) -> tuple[int, int]:
    return trace.cost.prompt_tokens, trace.cost.completion_tokens


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("remote") / "run")


@pytest.mark.parametrize("kind", ["chat", "text", "run"])
def test_a_served_model_says_what_it_says_in_this_process(kind: str, run: Path) -> None:
    local: LocalLLM = open_local(run) if kind == "run" else chat_model(*([None] * (kind == "text")))
    with serving(local) as address:
        remote = open_llm(f"{address}/v1")
        assert isinstance(remote, RemoteLLM)
        assert remote.name == local.name
        assert remote.format == ("text" if kind == "text" else "chat")
        for params in (GREEDY, PARAMS):
            ours = local.sample(PROBLEMS, params, "chain")
            theirs = remote.sample(PROBLEMS, params, "chain")
            for one, other in zip(ours, theirs, strict=True):
                assert one.problem_id == other.problem_id
                if kind != "run":
                    assert said([other]) == said([one])
                    assert tokens(other) == tokens(one)
                else:  # chains that reach an answer look the same from outside
                    for a, b in zip(one.completions, other.completions, strict=True):
                        assert b.steps[: len(a.steps)] == a.steps


def test_evaluation_of_an_address(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "12 times 7?", "answer": "84"}\n' * 3)
    with serving(chat_model()) as address:
        remote = open_llm(f"{address}/v1/")
        local = grade_task(str(tmp_path / "mine.jsonl"), chat_model()).ladder
        assert grade_task(str(tmp_path / "mine.jsonl"), remote).ladder.rows[0].correct == (
            local.rows[0].correct
        )
        sampling = replace(remote.default_sampling, samples=2, max_new_tokens=8)
        both = [
            grade_task(str(tmp_path / "mine.jsonl"), llm, sampling=sampling).ladder.rows
            for llm in (remote, chat_model())
        ]
    plain: list[Any] = [[(row.rung, row.correct, row.completion_tokens, row.ci_low)
                         for row in rows if "log" not in row.rung] for rows in both]  # fmt: skip
    assert plain[0] == plain[1]


def test_a_question_beyond_the_context_counts_as_wrong() -> None:
    long = Problem("long", "very " * 4000, "1")
    with serving(chat_model()) as address:
        first, last = open_llm(f"{address}/v1").sample([PROBLEMS[0], long], PARAMS, "chain")
    assert all(c.cost.completion_tokens for c in first.completions)
    assert [(c.finish, c.answer, c.cost.completion_tokens) for c in last.completions] == [
        ("length", None, 0)
    ] * 3


def test_what_is_not_there_is_said_in_a_sentence() -> None:
    with serving(chat_model()) as address:
        with pytest.raises(UserError, match="has no model 'other': name one of tiny"):
            open_llm(f"{address}/v1#other")
        assert open_llm(f"{address}/v1#tiny").name == "tiny"
        with pytest.raises(UserError, match="whether /v1 is missing in the address"):
            open_llm(f"{address}/somewhere")
    for address in ("http://", "http://127.0.0.1:x/v1", "http://a b@c/v1?d"):
        with pytest.raises(UserError, match="is not the address of a server"):
            open_llm(address)
    with pytest.raises(UserError, match="is an address: this needs the weights"):
        open_local("http://127.0.0.1:8000/v1")
    with pytest.raises(UserError, match="only a run's folder has stages"):
        open_llm("http://127.0.0.1:8000/v1", stage="base")


# --------------------------------------------------------------------------- servers of others


def models(*names: str) -> Answer:
    return Answer({"data": [{"id": name} for name in names]})


def choice(text: str, **more: Any) -> dict[str, Any]:
    return {"message": {"content": text}, "finish_reason": "stop", **more}


def served(
    respond: Callable[[dict[str, Any]], Answer],
) -> Callable[[str, dict[str, Any]], Answer]:
    """A server with one model that answers a chat by ``respond``."""
    return lambda path, body: respond(body) if body else models("m")


def connect(address: str, tries: int = 3, timeout: float = 20.0, **more: Any) -> LLM:
    return RemoteLLM.at(address, tries=tries, timeout=timeout, pause=0.001, **more)


def one_answer(llm: LLM, params: SamplingParams = GREEDY) -> Trace:
    return llm.sample(PROBLEMS[:1], params, "chain")[0]


def test_what_is_sent() -> None:
    with stand_in(served(lambda body: Answer({"choices": [choice("84")] * body.get("n", 1)}))) as s:
        llm = connect(s.address, prompts=PromptFormat("Solve: {question}", think=False))
        one_answer(llm, replace(PARAMS, top_k=4, top_p=0.9))
        llm.sample(PROBLEMS[:1], GREEDY, "direct")
    path, body = s.asked[1]
    assert path == "/v1/chat/completions"
    assert body.pop("seed") >= 0
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Solve: What is 12 times 7?"}],
        "temperature": 0.8,
        "top_p": 0.9,
        "top_k": 4,
        "max_tokens": 24,
        "n": 3,
        "logprobs": True,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert "final answer only" in s.asked[2][1]["messages"][-1]["content"]


def test_the_key_is_sent_and_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def respond(path: str, body: dict[str, Any]) -> Answer:
        if s.headers[-1].get("Authorization") != "Bearer secret-1":
            return Answer({"error": {"message": "Incorrect API key."}}, 401)
        return models("m") if not body else Answer({"choices": [choice("84")]})

    with stand_in(respond) as s:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(UserError, match=r"wants an API key .*OPENAI_API_KEY"):
            connect(s.address)
        monkeypatch.setenv("MINE", "secret-1")
        assert one_answer(connect(s.address, api_key_variable="MINE")).completions[0].answer == "84"


def test_a_server_without_n_is_asked_for_every_sample() -> None:
    ignoring = served(lambda body: Answer({"choices": [choice(str(body["seed"] % 1000))]}))
    with stand_in(ignoring) as s:
        trace = one_answer(connect(s.address), PARAMS)
    assert len(trace.completions) == 3 and len(s.asked) == 4
    assert len({body["seed"] for _, body in s.asked[1:]}) == 3  # or all would be the same

    def refusing(body: dict[str, Any]) -> Answer:
        if "n" in body:
            return Answer({"error": {"message": "Only one completion choice is allowed"}}, 400)
        return Answer({"choices": [choice("84")]})

    with stand_in(served(refusing)) as s:
        llm = connect(s.address)
        assert len(one_answer(llm, PARAMS).completions) == 3
        llm.sample(PROBLEMS, PARAMS, "chain")
    assert sum("n" in body for _, body in s.asked) == 1  # once found out, it is remembered


def test_a_server_without_logprobs_is_asked_without() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "logprobs" in body:
            return Answer({"error": "this server does not support logprobs"}, 400)
        return Answer({"choices": [choice("84")], "usage": {"completion_tokens": 7}})

    with stand_in(served(respond)) as s:
        trace = one_answer(connect(s.address))
    assert trace.completions[0].logprobs == () and trace.cost.completion_tokens == 7


def test_another_name_for_the_most_tokens() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "max_tokens" in body:
            said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Answer({"error": {"message": said}}, 400)
        return Answer({"choices": [choice(str(body["max_completion_tokens"]))]})

    with stand_in(served(respond)) as s:
        assert one_answer(connect(s.address)).completions[0].answer == "24"


def test_logprobs_belong_to_the_lines_of_their_tokens() -> None:
    listed = [("1+1=2", -0.5), ("\n", -0.1), ("So 2", -0.2)]
    logprobs = {"content": [{"token": text, "logprob": value} for text, value in listed]}
    whole = choice("1+1=2\nSo 2", logprobs=logprobs)
    with stand_in(served(lambda body: Answer({"choices": [whole]}))) as s:
        one = one_answer(connect(s.address)).completions[0]
    assert [node.logprobs for node in one.nodes] == [(-0.5, -0.1), (-0.2,)]
    assert one.steps == ("1+1=2", "So 2") and one.logprob == pytest.approx(-0.8)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "It is 2.", "reasoning_content": "1+1=2\nor 99"},
        {"content": "It is 2.", "reasoning": "1+1=2\nor 99"},
        {"content": "<think>\n1+1=2\nor 99\n</think>\n\nIt is 2."},
        {"content": "1+1=2\nor 99\n</think>\nIt is 2."},
    ],
)
def test_reasoning_is_read_wherever_it_stands(message: dict[str, str]) -> None:
    reply = {"message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 12}
    with stand_in(served(lambda body: Answer({"choices": [reply], "usage": usage}))) as s:
        trace = one_answer(connect(s.address))
    one = trace.completions[0]
    assert (one.steps, one.answer) == (("1+1=2", "or 99"), "2")
    assert tokens(trace) == (9, 12)


def test_what_passes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("glassmind.llm.http_json.time.sleep", pauses.append)
    failures = [
        Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "7"}),
        Answer(b"<html>broken</html>", 502),
        Answer(b"{not json"),
        Answer(b'{"choices": [', promised=999),  # breaks off
    ]
    good = Answer({"choices": [choice("84")]})
    with stand_in(served(lambda body: failures.pop(0) if failures else good)) as s:
        assert one_answer(connect(s.address, tries=5)).completions[0].answer == "84"
    assert len(pauses) == 4 and pauses[0] == 7.0  # as it asked
    assert all(pause < 1 for pause in pauses[1:])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer({"error": {"message": "overloaded"}}, 503), r"answers 503: overloaded \(3 tries\)"),
        (Answer(b"{]"), r"something that is not JSON \(3 tries\)"),
        (Answer(b"[" * 100_000), "something that is not JSON"),
        (Answer([1]), "JSON that is not an object"),
        (Answer({}), "gave no choices"),
        (Answer({"choices": []}), "gave no choices"),
        (Answer({"choices": [7]}), "choice that is not an object"),
        (Answer({"choices": [{"message": 7}]}), "message that is not an object"),
        (Answer({"choices": [{"message": {"content": 7}}]}), "not text"),
        (Answer({"choices": [{"text": None}]}), "not text"),
        (Answer({"detail": "wrong\x1b[31m field"}, 422), r"refuses with 422: wrong \[31m field$"),
        (Answer({"error": "no such model"}, 404), "refuses with 404: no such model"),
        (Answer(b"", 302, {"Location": "http://elsewhere/"}), "a redirect, which is not followed"),
        (
            Answer({"error": "no chat template"}, 400),
            r"no chat template; .*/v1/completions to have",
        ),
    ],
)
def test_servers_that_fail(answer: Answer, sentence: str) -> None:
    with stand_in(served(lambda body: answer)) as s:
        llm = connect(s.address)
        with pytest.raises(UserError, match=sentence) as found:
            llm.sample(PROBLEMS * 20, GREEDY, "chain")
    assert len(str(found.value)) < 500 and "\n" not in str(found.value)


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "MOST_BYTES", 1 << 20)
    with stand_in(served(lambda body: Answer(b" " * (2 << 20)))) as s:
        llm = connect(s.address)
        with pytest.raises(UserError, match="answers with more than 1 MB"):
            one_answer(llm)


def test_a_server_that_hangs_is_not_waited_for() -> None:
    release = threading.Event()

    def respond(body: dict[str, Any]) -> Answer:
        release.wait(30)
        return Answer({})

    with stand_in(served(respond)) as s:
        try:
            with pytest.raises(UserError, match=r"gave no answer within 0\.3 s \(2 tries\)"):
                one_answer(connect(s.address, tries=2, timeout=0.3))
        finally:
            release.set()


def test_nobody_there() -> None:
    with pytest.raises(UserError, match=r"cannot be reached: .*refused"):
        connect("http://127.0.0.1:9/v1", tries=1)


def test_several_models_and_none() -> None:
    with stand_in(lambda path, body: models("a", "b")) as s:
        with pytest.raises(UserError, match=r"has several models: name one of a, b, as in .*#NAME"):
            connect(s.address)
        assert connect(f"{s.address}#b").name == "b"
    with stand_in(lambda path, body: Answer({"detail": "no"}, 404)) as s:
        assert connect(f"{s.address}/completions#mine").format == "text"


@pytest.mark.parametrize(
    "params", [replace(GREEDY, calculator=True), replace(GREEDY, logit_bias=((1, 2.0),))]
)
def test_what_an_address_cannot_be_told_is_refused(params: SamplingParams) -> None:
    with stand_in(served(lambda body: Answer({}))) as s:
        llm = connect(s.address)
        with pytest.raises(UserError, match="works with a model in this process"):
            one_answer(llm, params)
    assert len(s.asked) == 1


def test_a_served_run_is_graded_on_the_same_problems_with_the_same_table() -> None:
    local = open_local("")
    sampling = replace(local.default_sampling, samples=3)
    with serving(local, cache_bytes=32 << 20) as address:
        remote = open_llm(f"{address}/v1")
        tables = [
            grade_task("test", llm, limit=6, sampling=sampling).ladder for llm in (local, remote)
        ]
    shared = {"chain-of-thought", "single-sample", "self-consistency", "any-of-k"}
    ours, theirs = (
        {row.rung: (row.n, row.correct, row.ci_low, row.completion_tokens) for row in table.rows}
        for table in tables
    )
    assert shared <= theirs.keys()
    assert {name: ours[name][:3] for name in shared} == {name: theirs[name][:3] for name in shared}
    assert ours["self-consistency"] == theirs["self-consistency"]
    assert theirs["chain-of-thought"][3] == ours["chain-of-thought"][3]
