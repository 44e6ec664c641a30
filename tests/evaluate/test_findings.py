"""The sentences and the terminal's table: only what the paired tests support is called a gain."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

from rich.console import Console

from glassmind.evaluate.ladder.findings import findings, summary
from glassmind.evaluate.ladder.table import ladder_text, print_ladder
from glassmind.evaluate.run_files import read_ladder


def test_only_supported_gains_are_called_so(run: Path) -> None:
    ladder = read_ladder(run / "ladder.json")
    verdicts = {(f.rung, f.slice): f.verdict for f in reversed(findings(ladder))}
    assert verdicts["chain-of-thought", "test"] == "supported"
    assert verdicts["log-probability-vote", "test"] == "not supported"
    assert verdicts["verifier-best-of-n", "longer"] == "lower"
    assert verdicts["self-consistency", "reworded"] == "not supported"
    assert ("direct", "test") not in verdicts
    bare = [dataclasses.replace(row, comparisons=()) for row in ladder.rows]
    fewer = findings(dataclasses.replace(ladder, rows=tuple(bare)))
    assert len(fewer) == len(findings(ladder)) - 3  # the lone p-value of a row speaks for it
    text = " ".join(summary(ladder))
    assert "self-consistency against chain of thought and single sample;" in text
    assert "No difference is supported for log-probability vote against self-consistency." in text
    assert "7 ways of answering" in text
    assert (
        "from self-consistency to that ceiling, verifier vote covers 50 %" in text
    )  # (91.2 - 86.1) / (96.2 - 86.1)
    assert "better" not in text + " ".join(f.sentence for f in findings(ladder))


def test_the_table(run: Path) -> None:
    ladder = read_ladder(run / "ladder.json")
    plain = io.StringIO()
    print_ladder(ladder, Console(file=plain, width=40))
    lines = plain.getvalue().splitlines()
    assert lines == ladder_text(ladder).splitlines()
    assert len(lines) == 1 + 24
    assert lines[1].startswith("test      direct")
    assert re.search(
        r"verifier vote +2,000 +91.2 % +89.9 to 92.4 % +self-consistency +\+5.1", plain.getvalue()
    )
    assert "\x1b" not in plain.getvalue()
    fancy = io.StringIO()
    print_ladder(
        ladder,
        Console(
            file=fancy, width=140, force_terminal=True, color_system="truecolor", no_color=False
        ),
    )
    assert "\x1b[32m" in fancy.getvalue() and "\x1b[31m" in fancy.getvalue()
    assert "chain of thought" in fancy.getvalue()


def test_many_unsupported_comparisons_are_counted(run: Path) -> None:
    ladder = read_ladder(run / "ladder.json")
    vote = ladder.row("log-probability-vote", "test")
    assert vote is not None
    names = ("checked-vote", "program-aided", "score-vote")
    more = tuple(dataclasses.replace(vote, rung=name) for name in names)
    text = " ".join(summary(dataclasses.replace(ladder, rows=ladder.rows + more)))
    assert "No difference is supported for 4 comparisons of other methods." in text
    assert "checked vote" not in text
