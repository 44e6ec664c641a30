"""The chapter on architectures: it says what the code says, and its commands work."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.learn import Measured, large, page, pictures, read_measured, write_chapter
from glassmind.learn.architectures.lineage import diff, shown
from glassmind.learn.architectures.published import MODELS
from glassmind.model import PRESETS, Transformer
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import decode

DOCS = Path(__file__).parents[2] / "docs"

ARM: dict[str, Any] = {
    "group": "positions",
    "arm": "alibi",
    "changes": "positions.kind=alibi",
    "against": "base",
    "parameters": 919_000,
    "steps": 300,
    "tokens_per_second": 16_000,
    "bits_per_byte": [[2.1, 2.0, 2.2], [2.2, 2.1, 2.3]],
    "by_quarter": [1.0, 2.0],
    "difference": [[0.01, -0.01, 0.03], [0.0, 0.0, 0.0]],
    "flops_per_token": 2.9e6,
    "kv_bytes_per_token": 2048,
}
BASE = {**ARM, "group": "base", "arm": "base", "changes": "", "by_quarter": [0.9, 1.1]}
MEASURED: dict[str, Any] = {
    "benchmark": "architectures",
    "commit": "abc1234",
    "seeds": [0, 1],
    "seconds": 90,
    "lengths": [256, 512],
    "tokens_of_base": 1_500_000,
    "rows": [BASE, ARM],
}


def test_the_committed_chapter_is_the_one_that_the_code_writes() -> None:
    path, words = DOCS / "architectures.json", DOCS / "architectures-findings.md"
    measured = read_measured(path) if path.is_file() else None
    findings = words.read_text("utf-8") if words.is_file() else ""
    again = "write it again: glassmind models page --to docs"
    assert (DOCS / "ARCHITECTURES.md").read_text("utf-8") == page(measured, findings), again
    drawn = pictures(measured)
    assert {file.name for file in (DOCS / "figures").iterdir()} == drawn.keys(), again
    for name, svg in drawn.items():
        assert (DOCS / "figures" / name).read_text("utf-8") == svg, again


def test_every_picture_is_shown_and_well_formed() -> None:
    measured = decode(Measured, MEASURED, "measured")
    for given in (None, measured):
        drawn = pictures(given)
        shown = re.findall(r"^!\[.+\]\(figures/(.+)\)$", page(given), re.MULTILINE)
        assert sorted(shown) == sorted(drawn)
        for svg in drawn.values():
            root = ElementTree.fromstring(svg)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            title = root.find("{http://www.w3.org/2000/svg}title")
            assert title is not None and title.text


def test_pictures_name_the_models_that_are_built_so() -> None:
    drawn = pictures()
    assert ">OLMo 2, OLMo 3<" in drawn["norm-placement.svg"]
    assert ">DeepSeek-V3<" in drawn["heads.svg"]


def test_what_leaves_the_picture_is_told_by_its_number() -> None:
    lost = {**ARM, "arm": "sinusoidal", "by_quarter": [1.1, 9.0]}
    rows = [*MEASURED["rows"], lost]
    svg = pictures(decode(Measured, {**MEASURED, "rows": rows}, "measured"))[
        "positions-measured.svg"
    ]
    assert ">sinusoidal 9.00 ↑<" in svg
    assert ">rope, the base 1.10<" in svg
    heights = [float(y) for y in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*class="series"', svg)]
    assert len(heights) == 3
    assert all(b - a >= 14 for a, b in pairwise(sorted(heights)))


def test_every_step_of_the_tree_is_told() -> None:
    text = " ".join(page().split())
    for name, model in MODELS.items():
        assert f"| `{name}` |" in text
        if model.after is not None:
            for change in diff(PRESETS[model.after], PRESETS[name]):
                assert change.why in text
                assert f"**{shown(PRESETS[name], change.field)}**" in text
                assert f"`{change.field}`" in text


def test_its_commands_work() -> None:
    commands = re.findall(r"^    glassmind train demo (.*)$", page(), re.MULTILINE)
    assert len(commands) > 8
    recipe = read_recipe("demo")
    assert isinstance(recipe, Recipe)
    for command in commands:
        overrides = re.findall(r"--set (\S+)", command)
        changed = apply_overrides(recipe, [*overrides, "model.vocab_size=300"])
        assert changed.model != recipe.model
        with torch.device("meta"):
            Transformer(changed.model)


def test_lines_are_filled_and_nothing_is_left_of_the_template() -> None:
    text = page()
    assert "{" not in text
    for line in text.splitlines():
        assert len(line) <= 100 or line.startswith(("|", "    ")) or "](http" in line
        assert line == line.rstrip()


def test_measurements_make_a_section(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(MEASURED))
    measured = read_measured(path)
    text = page(measured)
    assert "## Measured here" in text
    assert "|  | base | 2.100 |  | 2.200 |" in text
    assert "| positions | alibi | 2.100 | +0.010 (-0.010 to +0.030) | 2.200 |" in text
    assert "- alibi: `positions.kind=alibi`\n" in text
    assert "Commit abc1234" in text
    assert "### Results" not in text
    assert "### Results\n\nNothing **much**.\n" in page(measured, "Nothing\n**much**.\n")
    assert page(None, "Nothing much.") == page()  # words about nothing


def test_the_chapter_as_files(tmp_path: Path) -> None:
    measured = decode(Measured, MEASURED, "measured")
    write_chapter(tmp_path / "docs", measured, "Nothing much.")
    text = (tmp_path / "docs/ARCHITECTURES.md").read_text("utf-8")
    assert text == page(measured, "Nothing much.")
    for name, svg in pictures(measured).items():
        assert (tmp_path / "docs/figures" / name).read_text("utf-8") == svg


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be a table"),
        (json.dumps(MEASURED | {"rows": [{**ARM, "steps": "many"}]}), "steps"),
        (json.dumps(MEASURED | {"more": 1}), "more"),
        (json.dumps(MEASURED | {"rows": [ARM]}), "none is that of the arm 'base'"),
    ],
)
def test_wrong_measurements_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_measured(path)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (9996, "10k"), (124_439_808, "124M"), (6.71e11, "671B")],
)
def test_large_numbers(number: float, text: str) -> None:
    assert large(number) == text
