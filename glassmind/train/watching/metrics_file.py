"""``metrics.jsonl``: exactly one line per logged step, even after a crash.

A checkpoint notes how long the file was. Resuming from it cuts the file there, and the steps that
are repeated write their lines again. Only figures that depend on the clock (``CLOCK_FIELDS``)
differ between two runs of one recipe.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glassmind.files import write_text

CLOCK_FIELDS = (
    *("seconds", "tokens_per_second"),
    *("sampling_tokens_per_second", "learning_tokens_per_second"),
)
_BLOCK = 1 << 16


class MetricsFile:
    """The rows of one stage; stages of a run share the file."""

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.stage = path, stage

    def append(self, step: int, figures: dict[str, Any]) -> None:
        line = json.dumps({"stage": self.stage, "step": step} | figures)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def n_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, n_bytes: int) -> None:
        """Delete what was written after the first ``n_bytes``, and a line they would cut."""
        if self.path.exists():
            with self.path.open("rb+") as file:
                end = max(0, min(n_bytes, self.path.stat().st_size))
                while end:  # in a file of ours, the byte before ``end`` is the end of a line
                    start = max(0, end - _BLOCK)
                    file.seek(start)
                    found = file.read(end - start).rfind(b"\n")
                    end = start if found < 0 else start + found + 1
                    if found >= 0:
                        break
                file.truncate(end)

    def forget_stage(self) -> None:
        """Delete this stage's rows, because the stage starts over."""
        if self.path.exists():
            lines = self.path.read_text("utf-8").splitlines(keepends=True)
            whole = [
                line for line in lines if line.endswith("\n")
            ]  # without the half line that a killed process leaves
            kept = [line for line in whole if json.loads(line).get("stage") != self.stage]
            write_text(self.path, "".join(kept))
