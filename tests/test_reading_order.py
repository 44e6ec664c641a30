"""Every folder's docstring names all of its files, so that a reading order cannot miss one."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "glassmind"

# Folders of files that are all of one kind, which another file lists.
LISTED_ELSEWHERE = {
    "cli": "verbs: VERBS in cli/main.py",
    "data/stories": "families: FAMILIES in the same __init__",
    "learn": "lessons: a folder each, with a docstring of its own",
    "interop/huggingface/families": "families: FAMILIES in the same __init__",
    "pipeline/tasks": "tasks: _BUILT_IN in its registry.py",
    "reason/methods": "methods: _BUILT_IN in reason/registry.py",
    "reason/rewards": "rewards: _BUILT_IN in reason/reward_registry.py",
}

FOLDERS = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))


def names_in(docstring: str) -> set[str]:
    """The last parts of the names in double backquotes, without ``.py``: ``a/b.py`` gives b."""
    return {
        re.split(r"[./]", name.removesuffix(".py"))[-1]
        for name in re.findall(r"``([\w./*]+)``", docstring)
    }


def docstring_of(folder: Path) -> str:
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""


def parts_of(folder: Path) -> list[str]:
    """The names of a folder's modules and of its subfolders with modules."""
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__", "__main__"}
    subfolders = {file.parent.name for file in folder.glob("*/__init__.py")}
    return sorted(modules | subfolders)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_a_folder_names_its_files(folder: Path) -> None:
    if folder.relative_to(PACKAGE).as_posix() in LISTED_ELSEWHERE:
        return
    docstring = docstring_of(folder)
    if folder == PACKAGE:  # a picture, and a table in CONTRIBUTING.md
        contributing = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
        patterns = {*re.findall(r"\w+", docstring), *re.findall(r"`(\w+)`", contributing)}
    else:
        patterns = names_in(docstring) | names_in(docstring_of(folder.parent))
    missing = [part for part in parts_of(folder) if not any(fnmatch(part, p) for p in patterns)]
    assert not missing, f"{folder}/__init__.py does not name {', '.join(missing)}"
