"""A run's folder: started once, resumed with its own recipe, never mistaken for another."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.runs.folder import commit, existing_run, open_run, run_id
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import write_record

RECIPE = Recipe(name="mine", seed=3)


def test_a_new_run_holds_its_recipe_and_facts(tmp_path: Path) -> None:
    run = open_run(tmp_path / "a" / "b", RECIPE, resume=False)
    assert sorted(p.name for p in run.path.iterdir()) == ["recipe.toml", "run.json"]
    assert run.name == "b"
    assert run.recipe() == RECIPE
    assert read_recipe(str(run.path)) == RECIPE
    info = run.info()
    assert (info.seed, info.commit, info.seconds) == (3, commit(), {})
    assert info.created.endswith("Z")
    assert {"processor", "threads", "capability", "system"} == info.machine.keys()
    assert {"glassmind", "python", "torch", "numpy"} == info.versions.keys()
    assert run.model_folder("base") == run.path / "models" / "base"


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    assert open_run(tmp_path, RECIPE, resume=True).recipe() == RECIPE


def test_a_run_is_resumed_only_when_asked(tmp_path: Path) -> None:
    first = open_run(tmp_path, RECIPE, resume=False)
    first.add_seconds("base", 1.25)
    with pytest.raises(UserError, match="already holds a run: go on with it by --resume"):
        open_run(tmp_path, RECIPE, resume=False)
    again = open_run(tmp_path, RECIPE, resume=True)
    assert again.info() == first.info()


def test_resuming_with_another_recipe_names_the_difference(tmp_path: Path) -> None:
    open_run(tmp_path, RECIPE, resume=False)
    attention = replace(RECIPE.model.attention, n_heads=8)
    for other, said in (
        (replace(RECIPE, seed=4), r"another seed \(3, now 4\)"),
        (
            replace(RECIPE, train=replace(RECIPE.train, muon_lr=0.01)),
            r"another train.muon_lr \(0.02, now 0.01\)",
        ),
        (
            replace(RECIPE, model=replace(RECIPE.model, attention=attention)),
            r"another model.attention.n_heads \(4, now 8\)",
        ),
    ):
        with pytest.raises(UserError, match=said):
            open_run(tmp_path, other, resume=True)


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work", "utf-8")
    for path in (tmp_path, thesis):
        with pytest.raises(UserError, match="exists and is not a run"):
            open_run(path, RECIPE, resume=True)
    assert thesis.read_text("utf-8") == "years of work"
    for path in (tmp_path, thesis, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="is not a run"):
            existing_run(path)


def test_seconds_add_up(tmp_path: Path) -> None:
    run = open_run(tmp_path, RECIPE, resume=False)
    assert run.spent("base") == 0.0
    run.add_seconds("base", 1.5)
    run.add_seconds("base", 2.0)
    run.add_seconds("other", 1.0)
    assert run.spent("base") == 3.5
    assert run.info().seconds == {"base": 3.5, "other": 1.0}


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_damaged_facts_are_refused(content: str, tmp_path: Path) -> None:
    run = open_run(tmp_path, RECIPE, resume=False)
    (tmp_path / "run.json").write_text(content, "utf-8")
    with pytest.raises(UserError, match=r"run\.json"):
        run.info()


def test_a_damaged_recipe_is_refused(tmp_path: Path) -> None:
    run = open_run(tmp_path, RECIPE, resume=False)
    (tmp_path / "recipe.toml").write_text("name = ", "utf-8")
    with pytest.raises(UserError, match="not valid TOML"):
        run.recipe()
    with pytest.raises(UserError, match="not valid TOML"):
        open_run(tmp_path, RECIPE, resume=True)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises((UserError, PermissionError)):
            open_run(tmp_path / "run", RECIPE, resume=False)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError):
        open_run(tmp_path / "run", RECIPE, resume=False)


def test_a_run_killed_while_it_was_made_can_be_started(tmp_path: Path) -> None:
    open_run(tmp_path, RECIPE, resume=False)
    (tmp_path / "recipe.toml").unlink()  # written after run.json
    assert open_run(tmp_path, RECIPE, resume=True).recipe() == RECIPE


def test_what_is_different_when_a_run_is_gone_on_with_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path, RECIPE, resume=False)
    said: list[str] = []
    open_run(tmp_path, RECIPE, resume=True, warn=said.append)
    assert said == []
    info = run.info()
    threads = int(info.machine["threads"])
    begun = replace(
        info,
        machine={**info.machine, "threads": threads + 1, "processor": "another"},
        versions={**info.versions, "torch": "0.1"},
    )
    write_record(tmp_path / "run.json", begun)
    for _ in range(2):
        open_run(tmp_path, RECIPE, resume=True, warn=said.append)
    assert len(said) == 2
    for part in (f"threads {threads + 1}, now {threads}", "processor another", "torch 0.1, now"):
        assert part in said[0]
    assert said[0].endswith(f"--threads {threads + 1} keeps that")
    (kept,) = run.info().changes
    assert said[0].startswith(kept)


def test_every_run_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = {open_run(tmp_path / name, RECIPE, resume=False).info().id for name in "abc"}
    assert len(ids) == 3
    assert run_id(tmp_path / "a") in ids
    assert run_id(tmp_path) == ""


def test_why_something_is_not_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "hf", "adapter", "other", "runs/mine"):
        Path(name).mkdir(parents=True)
    Path("hf/config.json").write_text("{}")
    Path("adapter/adapter_config.json").write_text("{}")
    Path("other/notes.txt").write_text("")
    Path("runs/mine/recipe.toml").write_text("")
    Path("model.gguf").write_text("")
    for name, said in (
        ("nothing", "there is nothing of that name"),
        ("mine", "did you mean runs/mine"),
        ("llama3", "an architecture without weights"),
        ("demo", "it is a recipe"),
        ("model.gguf", "it is a file"),
        ("empty", "the folder is empty"),
        ("hf", "folder of Hugging Face"),
        ("adapter", "--adapter adapter"),
        ("runs", "name one of them: mine"),
        ("other", "something else"),
    ):
        with pytest.raises(UserError, match=f"{name} is not a run: .*{said}"):
            existing_run(Path(name))
