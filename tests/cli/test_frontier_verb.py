"""What `glassmind frontier` refuses before it samples anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassmind.cli.main import main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "page.html"], "must be a folder"),
        (["--task", "nope"], "there is no task 'nope'"),
        (["--method", "nope"], "there is no method 'nope'"),
        (["--samples", "0"], "--samples must be at least 1"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    task = [] if "--task" in options else ["--task", "validation"]
    assert main(["frontier", *task, *options]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
