"""A few of the hostile files that ``benchmarks/fuzz_readers.py`` tries by the thousand."""

from __future__ import annotations

from pathlib import Path

import fuzz_readers
import pytest
from fuzz_readers import Case, attempt, corpus


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return corpus(tmp_path_factory.mktemp("corpus"))


def test_the_sound_files_are_read(cases: list[Case]) -> None:
    for name, path, read in cases:
        assert read(path) is not None, name


@pytest.mark.parametrize("seed", range(1, 6))
def test_any_file_is_taken_or_refused(
    seed: int, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_readers, "SECONDS", float("inf"))  # however busy the machine is
    problems = []
    for case in cases:
        sound = case[1].read_bytes()
        _, problem = attempt(case, sound, seed)
        case[1].write_bytes(sound)
        if problem:
            problems.append(f"{case[0]} {Path(case[1]).name}: {problem}")
    assert not problems
