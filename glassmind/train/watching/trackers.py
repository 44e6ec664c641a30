"""Trackers: the figures of a run sent on to TensorBoard, trackio or Weights & Biases.

``metrics.jsonl`` in the run's folder is always written, and trackers get copies of its rows. A
tracker never stops a run: a library that is not installed is reported before training starts, and
one that fails later (a full disk, a lost connection) causes one warning and is not used again.

A resumed run repeats the steps since its checkpoint, to the bit. TensorBoard is told to hide the
old ones (``purge_step``); the other two cannot delete a row, so rows they have are not sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from glassmind.errors import UserError
from glassmind.runs.results import RunInfo
from glassmind.serialization import JsonObject, read_record, read_toml

PROJECT = "glassmind"
"""What trackio and Weights & Biases file our runs under."""


class Tracker(Protocol):
    """Where figures are sent. Any method may raise; ``Trackers`` handles it."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures after ``step`` optimizer steps, by flat names."""
        ...

    def rewind(self, step: int) -> None:
        """The run went back to ``step``; later steps will be logged again, perhaps differently."""
        ...

    def close(self) -> None:
        """No more figures will follow."""
        ...


class TensorBoardTracker:
    """Event files below ``folder/tensorboard/<stage>``: ``tensorboard --logdir runs`` shows them.

    Every row is flushed, so that a killed run leaves what it logged.
    """

    def __init__(self, folder: Path, stage: str, done: int, sent: int) -> None:
        self.folder = folder / "tensorboard" / stage
        self._open(done)
        if done == 0:
            self.writer.add_text("recipe", _as_code(folder), 0)

    def _open(self, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Purging hides every event of this step and later that earlier files of the folder hold.
        self.writer: Any = SummaryWriter(str(self.folder), purge_step=done + 1 if done else 0)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def rewind(self, step: int) -> None:
        self.writer.close()
        self._open(step)

    def close(self) -> None:
        self.writer.close()


class TrackioTracker:
    """Rows in trackio's own database (``trackio show``), one trackio run a stage."""

    def __init__(self, folder: Path, stage: str, done: int, sent: int) -> None:
        self.trackio: Any = importlib.import_module("trackio")
        self.sent = sent
        with _stdout_to_stderr():
            self.run: Any = self.trackio.init(
                project=PROJECT,
                name=f"{folder.resolve().name}-{stage}-{run_id(folder, stage)[:6]}",
                group=folder.resolve().name,
                config=recipe_of(folder),
                resume="allow" if sent else "never",
            )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        if step > self.sent:
            self.run.log(dict(figures), step=step)

    def rewind(self, step: int) -> None:
        """Does nothing, because a row that was sent cannot be deleted."""

    def close(self) -> None:
        with _stdout_to_stderr():
            self.trackio.finish()  # the run's own method would end it again at exit


class WandbTracker:
    """A Weights & Biases run a stage, grouped by the run's folder.

    Files lie below ``folder/wandb``; ``WANDB_MODE=offline`` keeps everything there.
    """

    def __init__(self, folder: Path, stage: str, done: int, sent: int) -> None:
        wandb: Any = importlib.import_module("wandb")
        self.sent = sent
        with _stdout_to_stderr():
            self.run: Any = wandb.init(
                project=PROJECT,
                id=run_id(folder, stage),
                name=f"{folder.resolve().name}/{stage}",
                group=folder.resolve().name,
                dir=str(folder),
                config=recipe_of(folder),
                resume="allow",
                reinit="create_new",
            )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        if step > self.sent:
            self.run.log(dict(figures), step=step)

    def rewind(self, step: int) -> None:
        """Does nothing, because the library ignores rows of steps that it has."""

    def close(self) -> None:
        with _stdout_to_stderr():
            self.run.finish()


TRACKERS: dict[str, Callable[[Path, str, int, int], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "trackio": TrackioTracker,
    "wandb": WandbTracker,
}


def require_trackers(names: Sequence[str]) -> None:
    """Check that the trackers' libraries are installed, before any work is done.

    Raises:
        UserError: one is not installed.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"the tracker {name} is not installed: pip install {name}, or leave it out of "
                "train.trackers (metrics.jsonl is written in any case)"
            )


class Trackers:
    """The trackers of one stage, used as one. With no names it does nothing.

    ``done`` is the step the run starts from (0, or what a checkpoint says), ``sent`` the last step
    that ``metrics.jsonl`` held before resuming cut it (see ``last_step``). ``warn`` gets messages
    for the user.

    Raises:
        UserError: a library is missing; or it refuses to start (not logged in, say) while nothing
            has been trained yet. After that, a refusal only causes a warning.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path | None,
        stage: str,
        *,
        done: int = 0,
        sent: int = 0,
        warn: Callable[[str], None],
    ) -> None:
        require_trackers(names)
        self.warn = warn
        self.live: dict[str, Tracker] = {}
        if folder is None:  # without a folder a run has no name to be tracked under
            return
        metrics = folder / "metrics.jsonl"
        midway = metrics.is_file() and metrics.stat().st_size > 0
        for name in dict.fromkeys(names):
            try:
                self.live[name] = TRACKERS[name](folder, stage, done, sent)
            except Exception as error:
                if not midway:
                    self.close()
                    raise UserError(
                        f"the tracker {name} could not start ({_reason(error)}): fix that, or "
                        "leave it out of train.trackers"
                    ) from error
                self._lost(name, error)

    def log(self, step: int, figures: Mapping[str, Any]) -> None:
        """Send a row to all. Nested figures go by paths (``inspection/gradients/embed.weight``)."""
        if self.live:
            flat = flattened(figures)
            self._each(lambda tracker: tracker.log(step, flat))

    def rewind(self, step: int) -> None:
        """The run went back to ``step``."""
        self._each(lambda tracker: tracker.rewind(step))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())
        self.live.clear()

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.live.items()):
            try:
                act(tracker)
            except Exception as error:  # whatever a library raises, the run continues
                del self.live[name]
                self._lost(name, error)

    def _lost(self, name: str, error: Exception) -> None:
        self.warn(
            f"the tracker {name} failed ({_reason(error)}) and gets no more figures; the run goes "
            "on, and metrics.jsonl holds them all"
        )


def flattened(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested figures by path; what is not a number (a name, a missing value) is left out."""
    flat: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}/")
        elif isinstance(value, (list, tuple)):
            flat |= flattened({str(i): v for i, v in enumerate(value)}, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[f"{prefix}{key}"] = float(value)
    return flat


def last_step(metrics: Path, stage: str) -> int:
    """The last step of ``stage`` that a ``metrics.jsonl`` holds; 0 where it holds none."""
    if not metrics.is_file():
        return 0
    for line in reversed(metrics.read_text("utf-8", errors="replace").splitlines()):
        try:
            row = json.loads(line)
            if row["stage"] == stage:
                return int(row["step"])
        except (ValueError, TypeError, KeyError):  # the half line that a killed process leaves
            continue
    return 0


def recipe_of(folder: Path) -> JsonObject:
    """The run's ``recipe.toml`` as plain values; empty where it has none."""
    path = folder / "recipe.toml"
    return read_toml(path) if path.is_file() else {}


def run_id(folder: Path, stage: str) -> str:
    """A unique name that stays the same when a run is resumed."""
    info = folder / "run.json"
    if info.is_file():
        created = read_record(RunInfo, info).created
        text = f"{created} {folder.resolve().name} {stage}"
    else:
        text = f"{folder.resolve()} {stage}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_code(folder: Path) -> str:
    """The recipe as the indented block that TensorBoard's text page shows unchanged."""
    path = folder / "recipe.toml"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else ["none"]
    return "\n".join(f"    {line}" for line in lines)


def _stdout_to_stderr() -> contextlib.AbstractContextManager[object]:
    """Libraries print to standard error; standard output is for the command's result."""
    return contextlib.redirect_stdout(sys.stderr)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:120]
