"""The chapter "From GPT-2 to today, one value at a time", generated from the presets.

The text is in ``chapter.md.jinja``; every value, number, reason and picture is computed from the
configs when the page is written, so that a changed preset changes its chapter.
"""

from __future__ import annotations

import re
import textwrap
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from glassmind.files import write_text
from glassmind.learn.architectures.heads_drawing import heads_drawing
from glassmind.learn.architectures.lineage import Change, diff, shown, sizes
from glassmind.learn.architectures.measured import (
    Measured,
    markdown_table,
    measured_changes,
    measured_table,
)
from glassmind.learn.architectures.measured_drawing import positions_drawing
from glassmind.learn.architectures.norm_drawing import norm_drawing
from glassmind.learn.architectures.numbers import COLUMNS, cells, facts, large
from glassmind.learn.architectures.published import MODELS
from glassmind.learn.architectures.reasons import Paper
from glassmind.learn.architectures.tree_drawing import tree_drawing
from glassmind.learn.architectures.visible_keys_drawing import visible_keys_drawing
from glassmind.model import PRESETS, ModelConfig

CONTEXT = 4096  # tokens, for what depends on the length of the text


def write_chapter(folder: Path, measured: Measured | None = None, findings: str = "") -> None:
    """Write ``ARCHITECTURES.md`` into ``folder``, and its pictures into ``figures`` there."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures(measured).items():
        write_text(figures / name, svg)
    write_text(folder / "ARCHITECTURES.md", page(measured, findings))


def pictures(measured: Measured | None = None) -> dict[str, str]:
    """The pictures of the chapter, as SVG by file name."""
    drawn = {
        "family-tree.svg": tree_drawing(),
        "norm-placement.svg": norm_drawing(),
        "who-sees-whom.svg": visible_keys_drawing(),
        "heads.svg": heads_drawing(),
    }
    if measured:
        drawn["positions-measured.svg"] = positions_drawing(measured)
    return drawn


def page(measured: Measured | None = None, findings: str = "") -> str:
    """The whole chapter as Markdown.

    It has a section on ``measured`` if given; ``findings`` are paragraphs about the results.
    """
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    told: set[str] = set()
    words = resources.files("glassmind.learn.architectures").joinpath("chapter.md.jinja")
    text = environment.from_string(words.read_text("utf-8")).render(
        models={name: facts(name, CONTEXT) for name in PRESETS},
        configs=PRESETS,
        context=CONTEXT,
        large=large,
        numbers=markdown_table(
            COLUMNS,
            [(f"`{name}`", *cells(facts(name, CONTEXT), CONTEXT)[1:]) for name in PRESETS],
        ),
        changes=lambda name: _changes(name, told),
        measured=measured,
        measured_table=measured_table(measured) if measured else "",
        measured_changes=measured_changes(measured) if measured else "",
        findings=findings.strip(),
    )
    return "\n\n".join(_filled(block) for block in text.rstrip("\n").split("\n\n")) + "\n"


def _filled(block: str) -> str:
    """A paragraph or list with its lines refilled; anything else unchanged."""
    if block.startswith(("#", "    ", "|", "![")):
        return block
    items = re.split(r"\n(?=- )", block)
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()),
            width=100,
            subsequent_indent="  " if item.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    )


def _changes(name: str, told: set[str]) -> str:
    """A preset's changes as a list. A reason is given, and added to ``told``, if not in it yet."""
    before = MODELS[name].after or name
    a, b = PRESETS[before], PRESETS[name]
    by_reason: dict[str, list[Change]] = {}
    for change in diff(a, b):
        by_reason.setdefault(change.why, []).append(change)
    lines, again = [], []
    for why, changes in by_reason.items():
        values = [_values(change, a, b) for change in changes]
        if why in told:
            again += values
        else:
            lines.append(f"- {', '.join(values)}. {why}{_source(changes[0].paper)}")
        told.add(why)
    if again:
        lines.append(f"- As before: {', '.join(again)}.")
    grown = [
        f"`{size.field}` {shown(a, size.field)} → {shown(b, size.field)}" for size in sizes(a, b)
    ]
    if grown:
        lines.append(f"- Only larger or smaller: {', '.join(grown)}.")
    return "\n".join(lines)


def _values(change: Change, a: ModelConfig, b: ModelConfig) -> str:
    new = f"**{shown(b, change.field)}**"
    if change.before is None:
        return f"`{change.field}` = {new}"
    return f"`{change.field}` {shown(a, change.field)} → {new}"


def _source(paper: Paper | None) -> str:
    if paper is None:
        return ""
    if not paper.arxiv:
        return f" ({paper.cite})"
    return f" ([{paper.cite}](https://arxiv.org/abs/{paper.arxiv}))"
