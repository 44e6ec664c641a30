"""Run a verb as the command line does, and hand back what it wrote."""

from __future__ import annotations

import re

import pytest

from glassmind.cli.main import main


def product(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command that succeeds writes to standard output."""
    capsys.readouterr()
    code = main(list(argv))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one sentence of a command that is refused."""
    capsys.readouterr()
    code = main(list(argv))
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert "Traceback" not in captured.err
    last = captured.err.splitlines()[-1]
    assert re.match(r"glassmind( \w+)*: error: ", last)
    assert len(re.findall("^glassmind.*: error: ", captured.err, re.MULTILINE)) == 1
    return last
