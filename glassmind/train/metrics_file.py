"""``metrics.jsonl``: one line a logged step, none twice and none missing, whatever happens.

A line is appended when it is known. A checkpoint notes how long the file was; going on from it
cuts the file there, and the steps that are done again write their lines again. Figures that depend
on the clock (``CLOCK_FIELDS``) are the only ones that differ between two runs of one recipe.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glassmind.files import write_text

CLOCK_FIELDS = ("seconds", "tokens_per_second")


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
        """Drop what was written since the file had ``n_bytes``."""
        if self.path.exists():
            with self.path.open("rb+") as file:
                file.truncate(min(n_bytes, self.path.stat().st_size))

    def forget_stage(self) -> None:
        """Drop this stage's rows: it starts over."""
        if self.path.exists():
            lines = self.path.read_text("utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # not what a kill cut off
            kept = [line for line in whole if json.loads(line).get("stage") != self.stage]
            write_text(self.path, "".join(kept))
