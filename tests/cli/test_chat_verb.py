"""``chat``: what a person types, and what they see."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import command_line
import pytest
from tiny_servers import chat_model, pretrained, write_run

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.interop.gguf import save_gguf
from glassmind.llm.conversation import Conversation


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
    served = chat_model()
    params = SamplingParams(max_tokens, temperature=0, stop=served.stop_ids)
    return Conversation(served, served.engine(max_rows=1, max_cache_bytes=4 << 20), params)


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
    assert capsys.readouterr().err.count("/exit or Ctrl-D leaves") == 2


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
    assert not talk.engine.busy and talk.finish == "cancelled"
    assert talk.engine.n_free_blocks == talk.engine.n_blocks
    assert [turn["role"] for turn in talk.turns] == ["user", "assistant"]
    assert list(talk.say("And now?"))


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = tmp_path / "silent.gguf"
    save_gguf(pretrained(template=None), silent)
    complaint = command_line.complaint
    assert "no chat template" in complaint(capsys, "chat", str(silent))
    assert "temperature" in complaint(capsys, "chat", str(silent), "--temperature", "-1")
    assert "--max-tokens must be" in complaint(capsys, "chat", str(silent), "--max-tokens", "0")
    assert "did you mean smollm2?" in complaint(capsys, "chat", "smollm")
    assert "nowhere" in complaint(capsys, "chat", str(tmp_path / "nowhere"))
