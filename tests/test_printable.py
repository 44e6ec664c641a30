"""What a terminal would obey never reaches it as such."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from glassmind.cli import console, main
from glassmind.cli.literal_console import LiteralConsole
from glassmind.printable import printable, printable_json

HOSTILE = "a\x1b]0;title\x07b\x9b2Jc\u202edcba\x7f\x00"
OBEYED = set(HOSTILE) - set("a]0;titleb2Jcd")


def test_what_is_obeyed_is_escaped_and_the_rest_stays() -> None:
    assert printable(HOSTILE) == r"a\x1b]0;title\x07b\x9b2Jc\u202edcba\x7f\x00"
    assert printable("né 漢字 \t\n\U0001f600") == "né 漢字 \t\n\U0001f600"


@settings(max_examples=30)
@given(st.dictionaries(st.text(), st.text() | st.sampled_from(sorted(OBEYED))))
def test_json_keeps_its_values(value: dict[str, str]) -> None:
    text = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert printable(text) == text


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_that_rich_prints_is_obeyed(terminal: bool) -> None:
    written = io.StringIO()
    literal = LiteralConsole(file=written, force_terminal=terminal, width=200, color_system=None)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    for shown in (HOSTILE, Text(HOSTILE, style="bold"), Panel(HOSTILE), table):
        literal.print(shown, markup=False)
    assert OBEYED & set(written.getvalue()) == set()
    assert "title" in written.getvalue()


def test_styles_are_still_styles() -> None:
    written = io.StringIO()
    LiteralConsole(file=written, force_terminal=True, color_system="standard").print(
        Text("red", style="red")
    )
    assert written.getvalue() == "\x1b[31mred\x1b[0m\n"


def test_names_and_values_of_every_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["report", f"runs/{HOSTILE[:-1]}"]) == 2
    console.print_json({HOSTILE: HOSTILE})
    said = capsys.readouterr()
    assert OBEYED & set(said.out + said.err) == set()
    assert json.loads(said.out) == {HOSTILE: HOSTILE}
