"""The commands as functions of the package."""

from __future__ import annotations

import importlib
import pydoc
from pathlib import Path

import pytest
from tiny_servers import write_run

import glassmind
from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import read_problems
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline import calls
from glassmind.quantity import quantity
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("calls") / "<run>")


def test_help_shows_the_calls() -> None:
    shown = pydoc.plain(pydoc.render_doc(glassmind))
    for call in ("ask", "evaluate", "train", "ladder", "load", "open_llm", "compare", "convert"):
        assert f"glassmind.{call}(" in shown
    for signature in ("    ask(questions", "    load(source", "    ladder(recipe"):
        assert signature in shown


def test_two_folders_can_be_called(run: Path) -> None:
    graded = glassmind.evaluate("test", str(run), limit=2, methods=["chain-of-thought"])
    assert isinstance(graded, glassmind.Evaluation) and len(graded.problems) == 2
    assert str(graded) == str(graded.ladder) and "chain of thought" in str(graded)
    assert graded._repr_html_().startswith("<table><thead>")
    assert len(graded.failed()) == 2 - graded.ladder.rows[0].correct
    # They are still the folders.
    again = importlib.import_module("glassmind.evaluate")
    assert glassmind.evaluate is again and glassmind.evaluate.run_files.Ladder is glassmind.Ladder
    assert importlib.import_module("glassmind.train").Trainer


def test_what_failed_is_shown_and_kept(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "a.jsonl"
    argv = ["eval", "--task", "test", "--model", str(run), "--limit", "3", "--samples", "1"]
    argv += ["--max-tokens", "4", "--method", "chain-of-thought"]
    assert main([*argv, "--show", "1", "--out", str(kept)]) == 0
    said = capsys.readouterr().out
    assert "chain of thought failed 3 questions" in said and "and 2 more; --show 3 has all" in said
    problems = read_problems(kept)
    assert len(problems) == 3 and problems[0].question in said
    assert f"no answer ✗ (right is {problems[0].answer})" in said
    assert main([*argv, "--out", str(tmp_path / "none" / "a.jsonl")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_training_takes_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Recipe, Path]] = []

    def record(recipe: Recipe, folder: Path, **_: object) -> RunFolder:
        given.append((recipe, folder))
        return RunFolder(folder)

    monkeypatch.setattr(calls, "run_training", record)
    settings = {
        "train.steps": 7,
        "model.attention.bias": True,
        "problems.dial.families": ["buying"],
    }
    assert glassmind.train("demo", tmp_path, settings=settings, seed=5).path == tmp_path
    glassmind.train("demo")
    (recipe, _), (usual, folder) = given
    assert (recipe.train.steps, recipe.seed, recipe.model.attention.bias) == (7, 5, True)
    assert recipe.problems.dial.families == ("buying",)
    assert folder == Path("runs/demo-train") and usual.seed == 0
    with pytest.raises(UserError, match=r"settings: .*stepz"):
        glassmind.train("demo", settings={"train.stepz": 1})


def test_models_are_printed_in_a_few_lines(run: Path) -> None:
    loaded, llm = glassmind.load(run), glassmind.open_llm(run)
    for record in (loaded, llm):
        text, html = str(record), record._repr_html_()  # type: ignore[union-attr]
        assert len(text.splitlines()) < 10 and "parameters" in text and repr(record) == text
        assert "&lt;run&gt;" in html and "<run>" not in html
    with pytest.raises(UserError, match="is an address"):
        glassmind.load("http://127.0.0.1:1/v1")


def test_models_from_elsewhere_load(tmp_path: Path, run: Path) -> None:
    written = glassmind.convert(str(run), str(tmp_path / "run.gguf"), dtype="float32")
    assert written is not None
    loaded = glassmind.load(tmp_path / "run.gguf")
    assert isinstance(loaded, Pretrained) and "weights" in str(loaded)


def test_a_number_and_its_noun() -> None:
    numbers = (0, 1, 1.0, 2, 1.5, 0.96, 9.96, 10.4, 1800)
    assert [quantity(number, "token") for number in numbers] == [
        "0 tokens", "1 token", "1 token", "2 tokens", "1.5 tokens", "1.0 tokens", "10.0 tokens",
        "10 tokens", "1,800 tokens",
    ]  # fmt: skip
