"""The front door: instant help, one sentence for every mistake, the promised exit codes."""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import complaint, product

import glassmind
from glassmind.cli import console
from glassmind.cli.main import VERBS, main
from glassmind.errors import UserError

HEAVY = ("torch", "numpy", "rich", "safetensors", "regex")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLASSMIND_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[argparse.Namespace], int]], None]:
    """Put a module of the test's own in the place of ``glassmind.cli.report``."""

    def install(run: Callable[[argparse.Namespace], int]) -> None:
        def add_arguments(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--run", dest="run_folder", type=Path)
            parser.add_argument("--resume", action="store_true")

        module: Any = types.ModuleType("glassmind.cli.report", "A verb of the test's own.")
        module.run, module.add_arguments = run, add_arguments
        monkeypatch.setitem(sys.modules, "glassmind.cli.report", module)

    return install


def _raise(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def _loaded_by(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter has imported after ``code``."""
    script = f"import sys, json\n{code}\njson.dump(sorted(sys.modules), sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr)) & set(HEAVY)


def test_help_imports_nothing_heavy_and_lists_every_verb(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _loaded_by("from glassmind.cli.main import main\nassert main(['--help']) == 0") == set()
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    for name, line in VERBS.items():
        assert name in output
        assert line in output
    assert main([]) == 0
    assert capsys.readouterr().out == output


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert _loaded_by("import glassmind, glassmind.records, glassmind.errors") == set()


@pytest.mark.parametrize("name", VERBS)
def test_help_of_every_verb(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: glassmind {name}")
    module = importlib.import_module(f"glassmind.cli.{name}")
    assert (module.__doc__ or "").splitlines()[0] in output


def test_help_of_no_verb_imports_torch() -> None:
    helps = [f"main(['{name}', '--help'])" for name in VERBS]
    code = "\n".join(["from glassmind.cli.main import main", *helps])
    assert "torch" not in _loaded_by(code)


def test_lazy_names_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    from glassmind.records import Problem

    assert glassmind.Problem is Problem
    assert "Verdict" in dir(glassmind)
    for name in glassmind._LAZY:
        assert getattr(glassmind, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = glassmind.nonsense
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"glassmind {glassmind.__version__}\n"


def test_module_can_be_run() -> None:
    command = [sys.executable, "-m", "glassmind", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"glassmind {glassmind.__version__}\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["aks", "what?"], "did you mean ask?"),
        (["qqq"], "it is one of: demo, train"),
        (["What is 3 times 4?"], "to ask a question, use glassmind ask"),
        (["--nonsense"], "glassmind --help lists the options"),
        (["doctor", "--nonsense"], "there is no option --nonsense"),
        (["doctor", "--js"], "there is no option --js; did you mean --json?"),
        (["ask", "--modle", "smollm2", "hi"], "there is no option --modle; did you mean --model?"),
        (["ask", "-model=smollm2", "hi"], "there is no option -model; did you mean --model?"),
        (["eval", "--tsak", "test"], "did you mean --task?"),  # not: --task is missing
        (["eval"], "--task is missing; glassmind eval --help has examples"),
        (["tokenizer", "show", "a", "--tokeniser", "b"], "did you mean --tokenizer?"),
        (["tokenizer", "shwo", "a"], "there is no 'shwo' (did you mean show?)"),
        (["chat", "--weights", "int9"], "there is no 'int9' (did you mean int8?)"),
        (["completion", "powershell"], "it is one of: bash, zsh, fish"),
        (["convert", "a", "b", "c d"], "'c d' is one argument too many"),
        (["serve", "--port"], "argument --port: expected one argument"),
        (["../cli/main"], "there is no verb"),
    ],
)
def test_wrong_command_lines(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_many_words_may_stand_around_options() -> None:
    from glassmind.cli import ask, compare
    from glassmind.cli.parser import parser_of

    parser = parser_of("ask", ask)
    words = ["what", "is", "3", "-", "5", "--samples", "2", "or", "-5", "+", "3", "?"]
    assert parser.parse(words).question == ["what", "is", "3", "-", "5", "or", "-5", "+", "3", "?"]
    assert parser.parse(["--", "--modle", "is what?"]).question == ["--modle", "is what?"]
    runs = parser_of("compare", compare).parse(["a", "--out", "c.html", "b"]).runs
    assert runs == [Path("a"), Path("b")]


def test_help_explains_verbs_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    from glassmind.evaluate.glossary import TERMS, find_term

    overview = product(capsys, "--help")
    assert product(capsys, "help") == overview
    assert product(capsys, "help", "ask") == product(capsys, "ask", "--help")
    assert product(capsys, "help", "any", "of", "k").startswith("any of k: Whether at least one")
    assert product(capsys, "help", "Rungs").startswith("rung: ")
    assert "did you mean verifier?" in complaint(capsys, "help", "verfier")
    names = [name for term in TERMS for name in (term.word, *term.spellings)]
    for term in TERMS:
        assert find_term(term.word) is term
    assert len(set(names)) == len(names)
    assert [term.word.casefold() for term in TERMS] == sorted(t.word.casefold() for t in TERMS)


def test_two_verbs_for_habits(capsys: pytest.CaptureFixture[str]) -> None:
    assert product(capsys, "version") == product(capsys, "--version")
    convert = product(capsys, "convert", "--help").partition("positional")[2]
    assert product(capsys, "export", "--help").partition("positional")[2] == convert


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("recipe x.toml: no such key"), "recipe x.toml: no such key"),
        (PermissionError(errno.EACCES, "?", "/no/way"), "/no/way: no permission"),
        (FileNotFoundError(errno.ENOENT, "?", "a.toml"), "a.toml: no such file or folder"),
        (OSError(errno.ENOSPC, "?"), "runs/x: the disk is full; make room and run it again"),
        (ModuleNotFoundError("?", name="sympy.core"), "the Python package 'sympy'"),
    ],
)
def test_errors_become_one_sentence(
    error: Exception, said: str, verb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(_raise(error))
    assert main(["report", "--run", "runs/x"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("glassmind: error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_debug_shows_the_traceback(
    verb: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSMIND_DEBUG", "1")
    verb(_raise(UserError("nothing to report")))
    assert main(["report"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), OSError(errno.EIO, "?"), ModuleNotFoundError("?", name=None)]
)
def test_faults_of_our_own_are_not_hidden(error: Exception, verb: Any) -> None:
    verb(_raise(error))
    with pytest.raises(type(error)):
        main(["report"])


def test_a_verb_that_works_alone_says_so_once_under_torchrun(
    verb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(lambda args: 0)
    for name, value in (("TORCHELASTIC_RUN_ID", "1"), ("WORLD_SIZE", "4"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    assert main(["report"]) == 2
    assert capsys.readouterr().err == (
        "glassmind: error: torchrun started 4 processes, but report runs in one: run glassmind "
        "report without torchrun (it is only for glassmind train)\n"
    )
    assert main(["report", "--help"]) == 0
    assert "--resume" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "3")
    assert main(["report"]) == 0
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert main(["report"]) == 0


def test_interrupt(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verb(_raise(KeyboardInterrupt()))
    assert main(["report"]) == 130
    expected = "glassmind: interrupted; the same command with --resume continues\n"
    assert capsys.readouterr().err == expected


def test_exit_code_of_the_verb_is_the_command_s(verb: Any) -> None:
    verb(lambda args: 3)
    assert main(["report"]) == 3


def test_reader_that_goes_away_is_answered_quietly() -> None:
    script = (
        "import sys, types\n"
        "from glassmind.cli.main import main\n"
        "verb = types.ModuleType('glassmind.cli.report')\n"
        "verb.add_arguments = lambda parser: None\n"
        "verb.run = lambda args: [print('x' * 10_000) for _ in range(1000)] and 0\n"
        "sys.modules['glassmind.cli.report'] = verb\n"
        "sys.exit(main(['report']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors == b""


def test_consoles_are_plain_and_literal(capsys: pytest.CaptureFixture[str]) -> None:
    console.out.cache_clear()
    console.console.cache_clear()
    console.out().print("a [bold]question[/] about 12 :smile:", style="red")
    console.console().print("progress", style="bold")
    captured = capsys.readouterr()
    assert captured.out == "a [bold]question[/] about 12 :smile:\n"
    assert captured.err == "progress\n"


def test_no_color_wins_over_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    console.out.cache_clear()
    assert console.out().is_terminal
    monkeypatch.setenv("NO_COLOR", "1")
    console.out.cache_clear()
    assert not console.out().is_terminal
    assert console.out().color_system is None
    console.out.cache_clear()


def test_print_json_is_one_strict_object(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json(
        {"loss": float("nan"), "best": float("inf"), "path": Path("runs/é"), "n": (1, None, True)}
    )
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert json.loads(output) == {
        "loss": None,
        "best": None,
        "path": str(Path("runs/é")),
        "n": [1, None, True],
    }


def test_a_closed_output_is_one_sentence() -> None:
    program = "import sys; from glassmind.cli.main import main; sys.exit(main(['methods']))"
    command = 'exec "$0" -c "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, program], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "glassmind: error: standard output is closed, so the result cannot be written\n"
    )


def test_bytes_that_are_no_text_are_one_sentence(
    verb: Callable[[Callable[[argparse.Namespace], int]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb(lambda args: len("What is \udcff?".encode()))
    assert main(["report"]) == 2
    assert "are not UTF-8 text" in capsys.readouterr().err


def test_a_link_to_itself_is_one_sentence(
    verb: Callable[[Callable[[argparse.Namespace], int]], None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    verb(lambda args: len(loop.read_bytes()))
    assert main(["report"]) == 2
    assert "a link leads back to itself" in capsys.readouterr().err
