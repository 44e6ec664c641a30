"""What a trainer writes into its run's folder, and reads back: metrics and checkpoints.

The two belong together. A checkpoint records how long the metrics file was, so that resuming from
it also cuts the metrics back to that point.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glassmind.errors import UserError
from glassmind.progress import Progress
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.folder import run_id
from glassmind.train.saving.saved_state import TrainingState
from glassmind.train.watching.trackers import Trackers, last_step


class RunFiles:
    """The files of one stage; without a ``folder``, nothing is written and nothing found."""

    def __init__(self, folder: Path | None, state: TrainingState, progress: Progress) -> None:
        self.folder, self.state, self.progress = folder, state, progress
        self.metrics = self.writer = None
        self.run = run_id(folder) if folder is not None else ""
        if folder is not None:
            self.metrics = state.group.open_metrics(folder, state.stage)
            self.writer = state.group.open_writer(folder / "checkpoints" / state.stage)
        self.trackers = Trackers((), folder, state.stage, warn=progress.end)

    def resume(self, trackers: Sequence[str]) -> None:
        """Restore the newest checkpoint, if there is one, and start the trackers.

        Raises:
            UserError: the checkpoint does not fit, or a tracker cannot be started.
        """
        stage, counters = self.state.stage, self.state.counters
        sent = 0 if self.folder is None else last_step(self.folder / "metrics.jsonl", stage)
        found = self.newest()
        if found is not None:
            self.restore(found)
        elif self.metrics is not None:
            self.metrics.forget_stage()
        self.trackers = Trackers(
            trackers if self.state.group.is_first else (),
            self.folder,
            stage,
            done=counters.step,
            sent=sent,
            warn=self.progress.end,
        )

    def log(self, step: int, figures: dict[str, Any]) -> None:
        """Append a row to the metrics, and send it to the trackers."""
        if self.metrics is not None:
            self.metrics.append(step, figures)
            self.trackers.log(step, figures)

    def save(self, keep: int, kind: checkpoint.Kind = "step") -> None:
        """Write a checkpoint of the trainer as it is, and keep the ``keep`` newest of its kind."""
        if self.writer is not None and self.metrics is not None:
            found = self.state.snapshot(self.metrics.n_bytes())
            found = Checkpoint(found.tensors, found.state | {"run": self.run})
            self.writer.write(self.state.counters.step, found, keep, kind)

    def newest(self, kind: checkpoint.Kind = "step") -> Checkpoint | None:
        """The newest undamaged checkpoint, if there is one.

        Raises:
            UserError: it is of another run or stage.
        """
        if self.writer is None:
            return None
        self.writer.wait()
        folder = self.writer.folder
        found = self.state.group.newest_checkpoint(folder, self.progress.end, kind)
        if found is not None:
            theirs = {"run": found.state.get("run"), "stage": found.state.get("stage")}
            ours = {"run": self.run, "stage": self.state.stage}
            # Runs and checkpoints of earlier versions do not say which run they are.
            if any(theirs[key] and ours[key] and theirs[key] != ours[key] for key in ours):
                raise UserError(
                    f"the newest checkpoint in {folder} is of another run or stage: put back this "
                    "run's own, or delete the folder to start the stage over"
                )
        return found

    def restore(self, found: Checkpoint) -> None:
        """Take the trainer and its metrics back to ``found``."""
        n_bytes = self.state.restore(found)
        if self.metrics is not None:
            self.metrics.cut(n_bytes)

    def close(self) -> None:
        """Return when everything is written."""
        self.trackers.close()
        if self.writer is not None:
            self.writer.wait()
