"""Every command and snippet of the documentation works, and prints what the text says."""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documented_commands import ROOT, Block, arguments, blocks
from tiny_servers import chat_model, config, pretrained, serving
from untrained_runs import TEXTS, untrained_run

import glassmind
from glassmind.cli import serve as serve_verb
from glassmind.cli.main import VERBS, main, module_of
from glassmind.cli.parser import parser_of
from glassmind.evaluate.glossary import glossary_page
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.shipped_packages import SHIPPED_MODELS
from glassmind.runs.recipe import Recipe, read_recipe, shipped_recipes
from glassmind.serialization import decode

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# The log tells of commands that there were. A benchmark takes hours; the pages of the chapter on
# architectures are made from its code, which tests/learn trains.
NOT_PARSED, NOT_RUN = {"LOG.md", "CHANGELOG.md"}, {"BENCHMARKS.md", "ARCHITECTURES.md"}
LONG = {"demo", "train", "ladder", "scaling", "pull"}
BLOCKS = [b for page in PAGES if page.name not in NOT_PARSED for b in blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def parsed(argv: list[str]) -> argparse.Namespace:
    return parser_of(argv[0], module_of(argv[0])).parse(argv[1:])


@pytest.mark.parametrize("page", sorted({block.place.partition(":")[0] for block in SHELL}))
def test_commands_are_understood(page: str) -> None:
    """No verb, option, recipe or key of a recipe that there is not; no target, extra or file."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for block in SHELL:
        if not block.place.startswith(f"{page}:"):
            continue
        for command in block.commands:
            first = shlex.split(command, comments=True)[:2]
            for extras in re.findall(r"'glassmind\[([\w,]+)\]'", command):
                assert set(extras.split(",")) <= set(EXTRAS), f"{block.place}: {command}"
            if first[:1] == ["make"]:
                assert first[1] in targets, f"{block.place}: {command}"
            elif first[:1] == ["python"]:
                assert first[1] in ("-m", "-c") or (ROOT / first[1]).is_file(), block.place
            for argv in arguments(command):
                _understand(block, argv)


def _understand(block: Block, argv: list[str]) -> None:
    try:
        args = parsed(argv)
    except SystemExit:
        pytest.fail(f"{block.place}: glassmind {' '.join(argv)}")
    if getattr(args, "overrides", None):
        from glassmind.cli.jobs import changed

        name = getattr(args, "recipe", "")
        if name not in shipped_recipes():
            name = "pretrained" if getattr(args, "start", "") else "demo"
        changed(args, read_recipe(name))


def test_commands_in_sentences_are_understood() -> None:
    for page in PAGES:
        if page.name in NOT_PARSED:
            continue
        for span in re.findall(r"`(glassmind [^`]+)`", page.read_text("utf-8")):
            verb, *rest = arguments(" ".join(span.split()))[0]
            if verb != "VERB" and not verb.startswith("-"):
                parser_of(verb, module_of(verb))._refuse_unknown(rest)


@pytest.mark.parametrize("verb", VERBS)
def test_examples_in_the_help_are_understood(verb: str) -> None:
    module = module_of(verb)
    for line in (module.__doc__ or "").splitlines():
        command = re.split(r"  +", line.strip())[0]
        if command.startswith(("glassmind ", "torchrun ")):
            for argv in arguments(command):
                parsed(argv)


def test_recipes_in_the_pages_are_recipes() -> None:
    found = [block for block in BLOCKS if block.language == "toml"]
    assert len(found) >= 2
    for block in found:
        values = tomllib.loads(block.text)
        values.setdefault("pretrain", {}).setdefault("file", "x")
        decode(Recipe, values, block.place)


# --------------------------------------------------------------------------------- they are run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages speak of."""
    from glassmind.tokenize import save, train_bpe

    folder = tmp_path_factory.mktemp("documented")
    (folder / "runs").mkdir()
    shipped = Path(glassmind.__file__).parent / "weights" / "word-problems"
    (folder / "runs" / "demo").symlink_to(shipped)
    untrained_run(folder / "runs" / "text-train", "pretrain", config(320))
    (folder / "book.txt").write_text("Once upon a time there was a bear.\n\n" * 40 + TEXTS[0])
    problem = {"question": TEXTS[0], "answer": "31", "steps": ["3*12=36", "36-5=31"]}
    (folder / "my.jsonl").write_text(json.dumps(problem) + "\n")
    pair = {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"}
    (folder / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    steps = {"question": TEXTS[0], "steps": ["3*12=36", "36-5=30"], "label": 1}
    for name in ("solutions.jsonl", "labelled.jsonl"):
        (folder / name).write_text(json.dumps(steps) + "\n")
    (folder / "solution.txt").write_text(f"{TEXTS[0]}\n\n3*12=36\n36-5=30\n")
    (folder / "my.csv").write_text(f'Body,Result,Why\n"{TEXTS[0]}",31,"3*12=36, 36-5=31"\n')
    for name in ("A.json", "B.json", "path/to/tokenizer.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save(train_bpe(TEXTS, 300), folder / name)
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model in the place of every one that a package or the hub would bring."""
    from glassmind.llm import opening

    load = opening.load_pretrained

    def tiny(path: str | Path) -> Pretrained:
        return pretrained() if str(path) in SHIPPED_MODELS or "--" in str(path) else load(path)

    monkeypatch.setattr(opening, "load_pretrained", tiny)
    at = opening.weights_at
    monkeypatch.setattr(
        opening, "weights_at", lambda text: "org--name" if "SmolLM2" in text else at(text)
    )
    known = opening.is_pretrained
    monkeypatch.setattr(opening, "is_pretrained", lambda path: path == "org--name" or known(path))


def run_here(command: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The exit codes of the ``glassmind`` commands in a line; what is typed is ``/exit``."""
    for argv in arguments(command):
        typed = io.TextIOWrapper(io.BytesIO(f"{TEXTS[0]}\n".encode()))
        monkeypatch.setattr(sys, "stdin", io.StringIO("/exit\n") if argv[0] == "chat" else typed)
        yield main(argv)


@pytest.mark.usefixtures("scratch", "stand_in")
def test_commands_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that take no longer than a moment, each once, in the order of the pages."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("glassmind.serve.running.serve", lambda *args, **kwargs: None)
    done = set()
    with serving(chat_model()) as address:
        for block in SHELL:
            if block.place.partition(":")[0] in NOT_RUN:
                continue
            for command in block.commands:
                if not block.runs(command) or command in done or not arguments(command):
                    continue
                done.add(command)
                long = {argv[0] for argv in arguments(command)} & LONG
                assert not long, f"{block.place}: {command}: a comment must say that it is not run"
                here = command.replace("http://127.0.0.1:8000", address)
                here = here.replace("glassmind serve", "glassmind serve --port 0")
                here = here.replace("glassmind ask --model", "glassmind ask --max-tokens 4 --model")
                assert set(run_here(here, monkeypatch)) == {0}, (
                    f"{block.place}: {command}\n{capsys.readouterr().err}"
                )
    verbs = {argv[0] for command in done for argv in arguments(command)}
    assert verbs >= {"ask", "chat", "serve", "sample", "eval", "tokenizer", "data", "convert"}


@pytest.mark.usefixtures("scratch", "stand_in")
def test_models_of_packages_are_known_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: list[str] = []
    monkeypatch.setattr(
        "glassmind.serve.running.serve", lambda app, *_, started, **__: names.append(app.title)
    )
    for name in SHIPPED_MODELS:
        for argv in (["chat", name], ["chat", name, "--draft", name],
                     ["serve", name, "--port", "0", "--draft", name]):  # fmt: skip
            assert set(run_here(shlex.join(["glassmind", *argv]), monkeypatch)) == {0}
        assert f"You talk with {name}." in " ".join(capsys.readouterr().err.split())
        assert serve_verb.client_name(name) == name
    assert len(names) == len(SHIPPED_MODELS)


def code_after(block: Block) -> str:
    """The block of text that follows on the page, if there is one: what the code prints."""
    page, _, line = block.place.partition(":")
    lines = next(p for p in PAGES if p.name == page).read_text("utf-8").splitlines()
    rest = lines[int(line) - 1 + len(block.lines) + 1 :]
    found = re.match(r"\n(?:[^\n`#]+\n)*\n?```text\n(.*?)```", "\n".join(rest), re.DOTALL)
    return found[1] if found else ""


@pytest.mark.usefixtures("scratch", "stand_in")
@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=lambda block: block.place
)
def test_snippets_run_and_print_what_the_page_says(
    block: Block, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    names: dict[str, Any] = {}
    ast.parse(block.text)
    if "127.0.0.1" in block.text:
        from dataclasses import replace

        with serving(replace(chat_model(), name="smollm2")) as address:
            exec(block.text.replace("http://127.0.0.1:8000", address), names)
    else:
        exec(block.text, names)
    printed = capsys.readouterr().out
    assert printed == code_after(block) or not code_after(block)
    if "ask" in block.text and block.place.startswith("README"):
        assert names["answer"].text == "32"
        assert re.search(r"^\d+%  ", printed, re.MULTILINE)


def test_the_glossary_is_its_words() -> None:
    assert (ROOT / "docs" / "GLOSSARY.md").read_text("utf-8") == glossary_page()
