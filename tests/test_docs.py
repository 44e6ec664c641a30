"""Every file and every dotted name that the documentation and the docstrings mention exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOREIGN = {"export.py"}  # of llama2.c
SOURCES = sorted((ROOT / "glassmind").rglob("*.py"))

# `folder/file.py`, also at the start of a code span: `python benchmarks/x.py --flag`.
_PATH = re.compile(r"(?<![\w/.~-])((?:[\w-]+/)*[\w-]+\.(?:py|jinja|hpp|cpp|toml))\b")
_FOLDER = re.compile(r"(?<![\w/.-])((?:glassmind|tests|benchmarks)/(?:[\w-]+/)*)(?=[`\s)])")
_DOTTED = re.compile(r"\bglassmind(?:\.[A-Za-z_]\w*)+")
# What the user writes in examples.
_EXAMPLES = re.compile(r"^[a-z0-9-]+\.(?:toml|py)$|NAME|^runs/")


def text_of(page: Path) -> str:
    """The page without its list of old names."""
    return re.sub(r"(?ms)^## Renamed$.*?(?=^## |\Z)", "", page.read_text("utf-8"))


def docstrings_of(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node, clean=False) or ""


def exists(path: str, *folders: Path) -> bool:
    return any((folder / path).exists() for folder in (ROOT, ROOT / "glassmind", *folders))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_files_that_exist(page: Path) -> None:
    text = text_of(page)
    paths = [path for path in _PATH.findall(text) if "/" in path and not _EXAMPLES.search(path)]
    missing = {path for path in paths + _FOLDER.findall(text) if not exists(path)}
    assert not missing, f"{page.name} mentions {', '.join(sorted(missing))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_modules_that_exist(page: Path) -> None:
    for name in set(_DOTTED.findall(text_of(page))):
        resolve_name(name)


def test_docstrings_name_files_that_exist() -> None:
    missing = []
    for source in SOURCES:
        quoted = re.findall(r"``([^`\n]+)``", "\n".join(docstrings_of(source)))
        for path in (path for text in quoted for path in _PATH.findall(text)):
            folders = (source.parent, source.parent.parent)
            if path.endswith(".py") and path not in FOREIGN and not exists(path, *folders):
                missing.append(f"{source.relative_to(ROOT)}: {path}")
    assert not missing, "\n".join(missing)


def test_a_wrong_name_is_found() -> None:
    resolve_name("glassmind.runs.recipe.Recipe")
    with pytest.raises(AttributeError):
        resolve_name("glassmind.runs.recipe.Recipes")
    with pytest.raises((ImportError, AttributeError)):
        resolve_name("glassmind.runs.recipes.Recipe")
    assert not exists("glassmind/tokenize/train_bpe.py")
