"""Two processes must not write one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.runs.lock import hold

HOLDER = """
import sys
from pathlib import Path
from glassmind.runs.lock import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_has_one_writer(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=r"another process is writing .*--run"):
        hold(tmp_path)
    other.kill()  # however it ends
    other.communicate()
    hold(tmp_path)
    hold(tmp_path)  # the same process may open its run again
    assert list(tmp_path.iterdir()) == []
