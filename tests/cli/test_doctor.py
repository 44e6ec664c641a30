"""The doctor: every finding is there, a broken part is a finding too, and 2 means a problem."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from glassmind.cli import doctor
from glassmind.cli.main import main

NAMES = [
    *("python", "packages", "extras", "torch", "cpu"),
    *("compiler", "native", "memory", "disk", "gpu", "precision"),
]


def _by_name(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSMIND_DATA", raising=False)


def test_a_working_installation_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[1] for line in lines if line.split()[0] in ("ok", "note", "problem")]
    assert list(dict.fromkeys(names)) == [*NAMES, "data"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["schema"] == 1
    assert answer["healthy"] is True
    assert {finding["name"] for finding in answer["findings"]} == {*NAMES, "data"}
    assert {finding["status"] for finding in answer["findings"]} <= {"ok", "note"}
    assert captured.err == ""


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLASSMIND_DATA", str(tmp_path))
    assert [finding.status for finding in doctor._data()] == ["ok"]
    monkeypatch.setenv("GLASSMIND_DATA", str(tmp_path / "absent"))
    assert [finding.status for finding in doctor._data()] == ["problem"]
    assert main(["doctor"]) == 2


def test_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "regex":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    (finding,) = doctor._packages()
    assert finding == doctor.Finding("packages", "problem", "not installed: regex")


def test_an_extra_that_is_not_there_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_EXTRAS", {"pytest": "tests", "no-such-package": "wonders"})
    (finding,) = doctor._extras()
    assert finding.status == "ok" and finding.detail.startswith("pytest ")
    assert finding.detail.endswith("without no-such-package, no wonders")


def test_no_compiler_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (finding,) = doctor._compiler()
    assert finding.status == "note"
    assert "without torch.compile" in finding.detail


def test_other_torch_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.__version__", "2.12.1+cpu")
    (finding,) = doctor._torch()
    assert finding.status == "problem"
    monkeypatch.setattr("torch.__version__", "2.13.4")
    (finding,) = doctor._torch()
    assert finding.status == "ok"


def test_a_check_that_fails_is_a_problem_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> Any:
        raise ImportError("libomp.so: cannot open\nmore")

    monkeypatch.setattr(doctor, "_torch", broken)
    findings = _by_name(doctor.examine())
    assert findings["torch"].status == "problem"
    assert findings["torch"].detail == "ImportError: libomp.so: cannot open"
    assert findings["disk"].status == "ok"
