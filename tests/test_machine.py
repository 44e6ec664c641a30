"""What is known about the machine, read from files that are made up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from glassmind import machine
from glassmind.machine import OtherWork, instructions, processor, usable_cores, wait_asleep

CPUINFO = """processor\t: 0
model name\t: Toy 3000 @ 1 GHz
flags\t\t: fpu avx2

processor\t: 1
model name\t: another
flags\t\t: none
"""


def test_the_processor_s_name_and_instructions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert processor() and instructions() == ""  # on a system without the file
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert (processor(), instructions()) == ("Toy 3000 @ 1 GHz", "fpu avx2")


def test_other_work_is_what_this_process_did_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ten seconds in which both cores were busy, one of them with us; a third core is not ours."""
    monkeypatch.setattr(machine, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(machine, "usable_cores", lambda: [0, 1])
    hz = os.sysconf("SC_CLK_TCK")

    def stat(seconds: int) -> None:
        rows = [f"cpu{n} {seconds * hz} 0 0 500 7 0 0 0 0 0" for n in (0, 1, 2)]
        (tmp_path / "stat").write_text("\n".join(["cpu 9 9 9 9 9 9 9 9", *rows, "intr 5"]))

    now = [100.0, 50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: now[1])
    stat(1000)
    work = OtherWork()
    assert work.since() is None  # no time has passed
    now[:] = [110.0, 60.0]
    stat(1010)
    assert work.since() == pytest.approx(1.0)
    now[1] = 80.0
    assert work.since() == 0.0
    (tmp_path / "stat").unlink()
    assert work.since() is None and OtherWork().since() is None


def test_this_machine_has_cores() -> None:
    assert len(usable_cores()) >= 1


def test_threads_sleep_unless_the_user_has_said_how_they_wait() -> None:
    environment: dict[str, str] = {}
    wait_asleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}
    for chosen in ({"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "1000"}):
        environment = dict(chosen)
        wait_asleep(environment)
        assert environment == chosen
