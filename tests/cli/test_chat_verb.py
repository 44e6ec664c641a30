"""``chat``: what a person types, and what they see."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import command_line
import pytest
from http_stand_in import Answer, stand_in
from tiny_servers import chat_model, pretrained, serving, write_run

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.interop.gguf import save_gguf
from glassmind.llm.conversation import Conversation, LocalSpeaker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("chat") / "tiny.gguf"
    save_gguf(pretrained(), path)
    return str(path)


class Terminal:
    """Types lines into ``glassmind chat``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def type(self, text: str, *argv: str) -> tuple[str, str]:
        """What appears on standard output, and beside it."""
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        self._capsys.readouterr()
        assert main(["chat", *argv, "--max-tokens", "6"]) == 0
        captured = self._capsys.readouterr()
        return captured.out, " ".join(captured.err.split())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


def conversation(max_tokens: int = 6) -> Conversation:
    model = chat_model()
    speaker = LocalSpeaker(model, model.engine(max_rows=1, max_cache_bytes=4 << 20))
    return Conversation(speaker, SamplingParams(max_tokens, temperature=0))


def test_a_conversation(model: str, terminal: Terminal) -> None:
    out, err = terminal.type("Hello\n\nAnd now?\n/exit\nnever read\n", model, "--temperature", "0")
    assert "You talk with tiny.gguf" in err
    assert err.count("cut off here; --max-tokens allows more") == 2
    again, _ = terminal.type("Hello\n/reset\nHello\n", model, "--temperature", "0")
    first, second = again[: len(again) // 2], again[len(again) // 2 :]
    assert first == second and out.startswith(first)


def test_commands(model: str, terminal: Terminal) -> None:
    text = "/help\n/think off\n/show logprobs\nHello\n/show logprobs\n/think maybe\n/show\n/foo\n"
    out, err = terminal.type(text, model)
    assert "/reset" in err and "thinking is off" in err
    assert err.count("%") == 6 or "<|end|>" in err  # one a token
    assert "log-probabilities are hidden" in err
    assert "/think takes on or off" in err and "/show takes logprobs" in err
    assert err.count("there is no command") == 1
    assert out.endswith("\n")


@pytest.mark.parametrize("word", ["quit", "Exit", "/quit"])
def test_words_that_leave_and_help(model: str, terminal: Terminal, word: str) -> None:
    out, err = terminal.type(f"help\n{word}\nnever read\n", model)
    assert "/reset" in err
    assert not out.strip()


def test_a_model_that_cannot_be_told_to_think(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "plain.gguf"
    save_gguf(pretrained("{% for m in messages %}{{ m.content }}{% endfor %}"), path)
    assert "cannot be told whether to think" in terminal.type("/think off\n", str(path))[1]


def test_interrupts_at_the_prompt_drop_the_line(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed: list[type[BaseException] | str] = [KeyboardInterrupt, "Hello", KeyboardInterrupt]

    def read(prompt: str) -> str:
        line = typed.pop(0) if typed else EOFError
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", read)
    assert main(["chat", model, "--max-tokens", "2"]) == 0
    assert capsys.readouterr().err.count("to leave, type /exit or Ctrl-D") == 2


def test_a_run_forgets(tmp_path: Path, terminal: Terminal) -> None:
    folder = str(write_run(tmp_path / "run"))
    _, err = terminal.type("What is 12 times 7?\n", folder)
    assert "run was trained on single questions" in err


def test_turns_are_remembered_and_the_oldest_dropped() -> None:
    talk = conversation()
    for number in range(30):
        said = "".join(piece.text for piece in talk.say(f"number {number} " * 4))
        assert talk.turns[-2]["content"].startswith(f"number {number} ")
        assert said or talk.scored
    assert 4 <= len(talk.turns) < 60 and talk.turns[0]["role"] == "user"
    kept = list(talk.turns)
    with pytest.raises(UserError, match="shorten it"):
        list(talk.say("x" * 600))
    assert talk.turns == [] or talk.turns == kept[-len(talk.turns) :]
    with pytest.raises(UserError, match="cannot hold them"):
        list(talk.say("x" * 100_000))


def test_a_reply_that_is_stopped_frees_its_place() -> None:
    talk = conversation(max_tokens=400)
    reply = talk.say("Hello")
    next(reply)
    reply.close()
    assert isinstance(talk.speaker, LocalSpeaker)
    engine = talk.speaker.engine
    assert not engine.busy and talk.finish == "cancelled"
    assert engine.n_free_blocks == engine.n_blocks
    assert [turn["role"] for turn in talk.turns] == ["user", "assistant"]
    assert list(talk.say("And now?"))


def test_a_conversation_with_a_server_is_the_same(model: str, terminal: Terminal) -> None:
    typed = "Hello\nAnd now?\n/show logprobs\n/think off\nWhat is 12 times 7?\n"
    here, _ = terminal.type(typed, model)
    with serving(chat_model()) as address:
        there, err = terminal.type(typed, f"{address}/v1")
        assert there == here
        assert "You talk with tiny" in err and "%" in err
        assert err.count("cut off here") == 3


def streamed(*events: object) -> Answer:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in events]
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    return Answer(body, headers={"Content-Type": "text/event-stream"})


def delta(text: str, finish: str | None = None, **more: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text, **more}, "finish_reason": finish}]}


WHOLE = {"choices": [{"message": {"content": "<think>so</think>whole"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("answer", "shown", "sentence"),
    [
        (streamed(delta("Hi "), delta("you", "stop"), "[DONE]"), "Hi you\n", ""),
        (streamed(delta("a<th"), delta("ink>b</think>c", "stop")), "a\nb\nc\n", ""),
        (streamed(delta("", reasoning="hm"), delta("yes", "length")), "hm\nyes\n", "cut off here"),
        (Answer(WHOLE), "so\nwhole\n", ""),
        (streamed(delta("a <"), delta("b", "stop")), "a <b\n", ""),
        (streamed(delta("Hi ")), "Hi ", "broke off its answer"),
        (streamed({"error": {"message": "out of memory"}}), "", "fails: out of memory"),
        (streamed("{not json"), "", "not JSON"),
        (streamed("[1]"), "", "not an object"),
        (streamed(delta(3)), "", "not text"),  # type: ignore[arg-type]
        (streamed({"choices": [7]}), "", "not an object"),
        (Answer({"error": "no such thing"}, 400), "", "refuses with 400: no such thing"),
        (Answer({"error": "context is full"}, 400), "", "refuses with 400: context is full"),
        (Answer({}, 503), "", "answers 503"),
    ],
)
def test_what_servers_may_say(
    answer: Answer, shown: str, sentence: str, terminal: Terminal
) -> None:
    models = Answer({"data": [{"id": "them"}]})
    with stand_in(lambda path, body: answer if "chat" in path else models) as server:
        out, err = terminal.type("Hello\n", server.address, "--system", "Be brief.")
    assert out == shown
    assert sentence in err
    path, body = server.asked[-1]
    assert path == "/v1/chat/completions" and body["stream"] is True
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_what_a_server_does_not_know_is_left_out(terminal: Terminal) -> None:
    def respond(path: str, body: dict[str, Any]) -> Answer:
        if "chat" not in path:
            return Answer({"data": [{"id": "them"}]})
        if "logprobs" in body:
            return Answer({"error": "logprobs are not supported"}, 400)
        if len(body["messages"]) > 2:
            return Answer({"error": {"code": "context_length_exceeded", "message": "!"}}, 400)
        return streamed(delta(body["messages"][-1]["content"], "stop"))

    with stand_in(respond) as server:
        out, err = terminal.type("/show logprobs\none\ntwo\n", server.address)
    assert out == "one\ntwo\n"  # the oldest turns were dropped
    assert err.count("the server gives no log-probabilities") == 2


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = tmp_path / "silent.gguf"
    save_gguf(pretrained(template=None), silent)
    complaint = command_line.complaint
    assert "no chat template" in complaint(capsys, "chat", str(silent))
    assert "temperature" in complaint(capsys, "chat", str(silent), "--temperature", "-1")
    assert "--max-tokens must be" in complaint(capsys, "chat", str(silent), "--max-tokens", "0")
    assert "did you mean smollm2?" in complaint(capsys, "chat", "smollm")
    for option in (["--weights", "int8"], ["--draft", "smollm2"], ["--threads", "2"]):
        said = complaint(capsys, "chat", "http://127.0.0.1:9/v1", *option)
        assert f"{option[0]} works with a model in this process" in said
    assert "nowhere" in complaint(capsys, "chat", str(tmp_path / "nowhere"))
