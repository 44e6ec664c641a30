"""A run is a folder that holds a result together with everything that produced it.

runs/demo/
  recipe.toml        the resolved recipe, every value
  run.json           commit, seed, machine, versions, seconds of each stage
  arithmetic.json    how each stage computes: precision, compiled or not, threads
  tokenizer.json     in Hugging Face's format
  metrics.jsonl      one line every few steps
  checkpoints/       of a stage in progress
  models/<stage>/    finished weights: model.safetensors and model.json
  samples/           graded completions
  ladder.json        the results, for machines
  report.html        the results, for people
"""

from __future__ import annotations

import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from glassmind import __version__
from glassmind.errors import UserError
from glassmind.files import write_text
from glassmind.machine import processor
from glassmind.model.presets import PRESETS
from glassmind.runs.lock import hold
from glassmind.runs.recipe import Recipe, read_recipe, recipe_toml, shipped_recipes
from glassmind.runs.results import RunInfo
from glassmind.serialization import encode_toml, read_record, write_record

FORMER_STAGES = {"direct": "base"}
"""Stages that were renamed: the model that was called *base* is now called pretrained."""


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def model_folder(self, stage: str) -> Path:
        """The folder of a stage's model; older runs use the stage's former name."""
        folder = self.path / "models" / stage
        former = self.path / "models" / FORMER_STAGES.get(stage, stage)
        return former if former.is_dir() and not folder.is_dir() else folder

    def recipe(self) -> Recipe:
        return read_recipe(str(self.path))

    def info(self) -> RunInfo:
        """The contents of ``run.json``."""
        return read_record(RunInfo, self.path / "run.json")

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Note how long a stage took; parts of a resumed stage add up."""
        info = self.info()
        spent = {stage: round(info.seconds.get(stage, 0.0) + seconds, 2)}
        write_record(self.path / "run.json", replace(info, seconds=info.seconds | spent))

    def note_changes(self, recipe: Recipe, warn: Callable[[str], None]) -> None:
        """Say and keep what is different now from when the run was begun, as far as it matters."""
        info, now = self.info(), new_info(recipe)
        then: dict[str, object] = {**info.machine, **info.versions}
        present: dict[str, object] = {**now.machine, **now.versions}
        different = [
            f"{name} {then[name]}, now {value}"
            for name, value in present.items()
            if name in then and then[name] != value
        ]
        if not different:
            return
        sentence = f"{self.path} was begun with {'; '.join(different)}"
        threads = then.get("threads")
        remedy = f"; --threads {threads} keeps that" if threads != present["threads"] else ""
        warn(f"{sentence}: its weights will differ from those of a run without a pause{remedy}")
        if sentence not in info.changes:
            changes = (*info.changes, sentence)
            write_record(self.path / "run.json", replace(info, changes=changes))

    def spent(self, stage: str) -> float:
        """Seconds noted for a stage."""
        return self.info().seconds.get(stage, 0.0)


def open_run(
    path: Path,
    recipe: Recipe,
    *,
    resume: bool,
    warn: Callable[[str], None] = lambda sentence: None,
) -> RunFolder:
    """Create a run's folder, or go on with one that holds the same recipe.

    ``warn`` gets a sentence if the run was begun with other threads, versions or on another
    processor, so that its weights will not be those of a run without a pause; the run's
    ``run.json`` keeps that sentence.

    Raises:
        UserError: the folder holds something else, another recipe, or a run that was not asked
            to be resumed; another process is writing it; or it cannot be written.
    """
    run = RunFolder(path)
    require_free(path, resume=resume)
    if holds_run(path):
        kept = run.recipe()
        if encode_toml(kept) != encode_toml(recipe):
            what = next(iter(differences(kept, recipe)), "recipe")
            raise UserError(
                f"{path} was started with another {what}: --resume goes on with the recipe that it "
                "has, so leave that out, or name another folder by --run"
            )
        hold(path)
        run.note_changes(recipe, warn)
        return run
    try:
        path.mkdir(parents=True, exist_ok=True)
        hold(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    write_record(path / "run.json", new_info(recipe))
    write_text(path / "recipe.toml", recipe_toml(recipe))
    return run


def require_free(path: Path, *, resume: bool) -> None:
    """Refuse a folder in which no run can be begun, or, with ``resume``, gone on with.

    Raises:
        UserError: it holds a run that was not asked to be resumed, or something else.
    """
    if holds_run(path):
        if not resume:
            raise UserError(
                f"{path} already holds a run: go on with it by --resume, "
                "or name another folder by --run"
            )
    elif path.exists() and (not path.is_dir() or any(map(_foreign, path.iterdir()))):
        raise UserError(f"{path} exists and is not a run: name another folder by --run")


def holds_run(path: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (path / "recipe.toml").is_file() and (path / "run.json").is_file()


def _foreign(path: Path) -> bool:
    """False for the files that a run may leave if it is killed while it starts."""
    return path.name not in ("run.json", "recipe.toml") and not path.name.startswith(".")


def existing_run(path: Path) -> RunFolder:
    """The run at ``path``.

    Raises:
        UserError: there is none.
    """
    if not (path / "recipe.toml").is_file():
        raise not_a_run(path)
    return RunFolder(path)


def run_id(path: Path) -> str:
    """What tells the run at ``path`` from all others; "" for one of an earlier version, or none."""
    return RunFolder(path).info().id if (path / "run.json").is_file() else ""


def not_a_run(path: Path) -> UserError:
    """Why there is no run at ``path``: nothing is there, something else is, or the name is that of
    something without weights."""
    return UserError(f"{path} is not a run: {_instead(path)}")


def _instead(path: Path) -> str:
    """What is at ``path``, and what to do with it."""
    if path.is_file():
        if path.suffix == ".toml":
            return f"it is a file, perhaps a recipe, of which `glassmind train {path}` makes a run"
        return "it is a file, and a run is a folder with recipe.toml, as `glassmind demo` makes it"
    if path.is_dir():
        if (path / "adapter_config.json").is_file():
            return (
                "it is a PEFT adapter, which needs its model: `glassmind convert MODEL merged "
                f"--adapter {path}` makes one of both"
            )
        if (path / "config.json").is_file():
            return "it is a model's folder of Hugging Face, which was not trained here"
        if not any(path.iterdir()):
            return "the folder is empty"
        inside = sorted(found.parent.name for found in path.glob("*/recipe.toml"))
        if inside:
            return f"the folder holds runs; name one of them: {', '.join(inside[:8])}"
        return "the folder holds something else; a run's has recipe.toml, as `glassmind demo` makes"
    name = str(path)
    below = Path("runs") / path
    if (below / "recipe.toml").is_file():
        return f"there is nothing of that name; did you mean {below}?"
    if name in PRESETS:
        return (
            "it is an architecture without weights, which `glassmind models` shows; a model with "
            "weights is a run's folder, a .gguf file or a folder of Hugging Face"
        )
    if name in shipped_recipes():
        return f"it is a recipe, of which `glassmind train {name}` makes a run"
    return (
        "there is nothing of that name; a run's folder, a .gguf file, a folder of Hugging Face, or "
        "smollm2 is a model"
    )


def new_info(recipe: Recipe) -> RunInfo:
    """What is known at a run's start: commit, machine, versions."""
    import numpy
    import torch

    return RunInfo(
        commit=commit(),
        seed=recipe.seed,
        id=secrets.token_hex(16),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        machine={
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        versions={
            "glassmind": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
        },
    )


def commit() -> str:
    """The commit of the source tree that this package runs from, or else its version."""
    here = Path(__file__).resolve().parent
    git = shutil.which("git")
    if git is None or not (here.parent.parent / ".git").exists():
        return f"v{__version__}"
    asked = [git, "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or f"v{__version__}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def differences(kept: Recipe, asked: Recipe) -> list[str]:
    """What two recipes differ in, as ``train.steps (300, now 200)``; the name aside."""
    return [
        f"{path} ({_shown(old)}, now {_shown(value)})"
        for path, old, value in _differing(encode_toml(kept), encode_toml(asked))
        if path != "name"
    ]


def _differing(
    kept: Mapping[str, object], asked: Mapping[str, object], path: str = ""
) -> Iterator[tuple[str, object, object]]:
    for key in dict.fromkeys((*kept, *asked)):
        old, value = kept.get(key), asked.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            yield from _differing(old, value, f"{path}{key}.")
        elif value != old:
            yield f"{path}{key}", old, value


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)[:60]
