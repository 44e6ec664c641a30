"""Tables in narrow windows: whole columns go, and no digit ever does."""

from __future__ import annotations

import io
import random
import re

import pytest
from command_line import product
from rich.console import Console

from glassmind import model
from glassmind.cli import plan
from glassmind.evaluate import columns as module
from glassmind.evaluate.columns import Column, fitting, no_room, print_table, table_lines

COLUMNS = (
    Column("name", left=True),
    Column("seen", rank=3),
    Column("right"),
    Column("why", left=True, rank=2),
    Column("interval", rank=1),
)
ROWS = (
    ("chain of thought", "12,345", "88.2 %", "it does", "86.7 to 89.5 %"),
    ("direct", "7", "9.1 %", "", "8.0 to 10.2 %"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def window(width: int) -> Console:
    return Console(file=Terminal(), width=width, force_terminal=True, color_system=None)


def test_columns_go_by_rank() -> None:
    shown = {
        width: [COLUMNS[place].heading for place in fitting(COLUMNS, ROWS, width)]
        for width in (60, 54, 46, 42, 26, 10)
    }
    assert shown[60] == ["name", "seen", "right", "why", "interval"]
    assert shown[54] == ["name", "right", "why", "interval"]
    assert shown[46] == shown[42] == ["name", "right", "interval"]
    assert shown[26] == shown[10] == ["name", "right"]


def test_without_a_width_nothing_goes() -> None:
    assert table_lines(COLUMNS, ROWS) == [
        "name                seen   right  why            interval",
        "chain of thought  12,345  88.2 %  it does  86.7 to 89.5 %",
        "direct                 7   9.1 %            8.0 to 10.2 %",
    ]
    assert table_lines(COLUMNS, ()) == ["name  seen  right  why  interval"]


def test_a_row_that_does_not_fit_stands_upright() -> None:
    assert table_lines(COLUMNS, ROWS, 22)[:5] == [
        "chain of thought",
        "  seen      12,345",
        "  right     88.2 %",
        "  why       it does",
        "  interval  86.7 to",
    ]


def test_no_number_is_ever_cut() -> None:
    generator = random.Random(0)
    for _ in range(200):
        columns = [Column("name", left=True)]
        for n in range(6):
            columns.append(Column(f"c{n}", generator.random() < 0.3, generator.randrange(4)))
        rows = [
            (
                "some words " * generator.randrange(1, 3),
                *tuple(f"{generator.randrange(10**9):,}" for _ in range(6)),
            )
            for _ in range(3)
        ]
        width = generator.randrange(24, 90)
        lines = table_lines(columns, rows, width)
        assert all(len(line) <= width for line in lines)
        cells = {cell for row in rows for cell in row[1:]}
        assert {word for line in lines for word in re.findall(r"[\d,]{2,}", line)} <= cells


def test_what_had_no_room_is_named() -> None:
    screen = window(46)
    assert print_table(screen, COLUMNS, ROWS, bold=[0]) == ["seen", "why"]
    assert no_room(["seen", "why"]).startswith("no room here for seen, why: ")
    assert print_table(window(10), COLUMNS, ROWS) == []
    piped = Console(file=io.StringIO(), width=40)
    assert print_table(piped, COLUMNS, ROWS) == []


def test_tables_of_the_command_line_fit_the_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[list[Column], list[list[str]]]] = []

    def note(screen: Console, columns: list[Column], rows: list[list[str]]) -> list[str]:
        seen.append((columns, rows))
        return []

    monkeypatch.setattr(module, "print_table", note)
    few = {name: model.PRESETS[name] for name in ("gpt2", "gemma3", "deepseek-v3")}
    monkeypatch.setattr(model, "PRESETS", few)
    product(capsys, "models")
    assert [len(columns) for columns, _ in seen] in ([11], [7, 5])
    best = ("zero2 + checkpointing", "1 x 8", *["268.8"] * 9, "does not fit")
    seen.append((list(plan._LAYOUT_COLUMNS), [list(best), list(best)]))
    size = ("llama3-70b", "512", "fsdp + checkpointing", *["58.8"] * 6, "593k")
    seen.append((list(plan._SIZE_COLUMNS), [list(size), list(size)]))
    for columns, rows in seen:
        for width in (80, 60, 40):
            lines = table_lines(columns, rows, width)
            assert max(map(len, lines)) <= width
            if len(lines) == len(rows) + 1:
                kept = fitting(columns, rows, width)
                for line, row in zip(lines[1:], rows, strict=True):
                    assert all(row[place] in line for place in kept)
            else:
                assert {row[0] for row in rows} <= set(lines)
