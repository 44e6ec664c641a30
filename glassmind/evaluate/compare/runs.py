"""Compares two or more training runs: what differs in their recipes, and what each loss cost.

Only files are read (``recipe.toml``, ``run.json``, ``metrics.jsonl``), so runs of other versions
and other machines can be compared. To compare speed, the question is not which loss is lower at the
end but what each run spent to reach the same loss. That loss is the best one of the worst run,
which all runs reached; steps, tokens and seconds until it are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.diagnosis.stage_figures import smoothed
from glassmind.evaluate.flat_settings import flat
from glassmind.evaluate.run_files import Metric, read_metrics
from glassmind.notebook import preformatted
from glassmind.runs.folder import not_a_run
from glassmind.runs.results import RunInfo
from glassmind.serialization import read_record, read_toml

MOST_RUNS = 8
"""The number of colours that can be distinguished."""

AXES: dict[str, str] = {"step": "steps", "tokens": "tokens", "seconds": "seconds"}
"""The x axes of curves."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run had spent at some row; ``None`` if it was not recorded."""

    step: int
    tokens: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """When a run's loss first was at or below the ``mark``."""

    mark: float
    spent: Spent


@dataclass(frozen=True, slots=True)
class RunCurves:
    """One stage of one run. Curves are lists of (spent, value)."""

    label: str
    stage: str
    loss: list[tuple[Spent, float]]
    smooth: list[float]
    validation: list[tuple[Spent, float]]
    lr: list[tuple[Spent, float]]
    speed: list[tuple[Spent, float]]

    @property
    def spent(self) -> Spent:
        """Everything that the run spent."""
        return self.loss[-1][0]

    @property
    def typical_speed(self) -> float | None:
        """Tokens per second over the whole stage, without validation and pauses if recorded."""
        if self.spent.tokens and self.spent.seconds:
            return self.spent.tokens / self.spent.seconds
        return self.speed[-1][1] if self.speed else None


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not the same in all runs; ``None`` for a run without it."""

    key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class StageComparison:
    """The runs in one stage, and when each reached the best loss of the worst of them.

    ``training`` uses the smoothed training loss; ``validation`` is ``None`` if a run has no
    validation loss.
    """

    name: str
    runs: tuple[RunCurves, ...]
    training: tuple[Reached, ...]
    validation: tuple[Reached, ...] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole comparison; ``caution`` is a warning if losses may not be comparable."""

    labels: tuple[str, ...]
    differences: tuple[Difference, ...]
    stages: tuple[StageComparison, ...]
    caution: str

    def __str__(self) -> str:
        from glassmind.evaluate.compare.table import comparison_text  # which reads these records

        return comparison_text(self)

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare the runs in ``folders``, in that order.

    Raises ``UserError`` for fewer than two runs or too many, the same one twice, a folder that is
    not a run's or holds no losses, a malformed file, or runs that have no stage in common.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise UserError(f"compare takes 2 to {MOST_RUNS} runs, not {len(folders)}")
    resolved = [folder.resolve() for folder in folders]
    for i, folder in enumerate(resolved):
        if folder in resolved[:i]:
            raise UserError(f"{folders[i]} is given twice: name two different runs")
    labels = _labels(resolved)
    differences = tuple(_differences([_facts(folder) for folder in folders]))
    curves = [_read_curves(folder, label) for folder, label in zip(folders, labels, strict=True)]
    stages = tuple(_stages(folders, curves))
    return Comparison(labels, differences, stages, _caution(differences))


# ------------------------------------------------------------------------------------ reading


def _facts(folder: Path) -> dict[str, str]:
    """The recipe and the machine, flat: ``train.steps`` -> ``300``."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a run, such as runs/demo")
    recipe = folder / "recipe.toml"
    if not recipe.is_file():
        raise not_a_run(folder)
    facts = flat(read_toml(recipe))
    info = folder / "run.json"
    if info.is_file():
        made = read_record(RunInfo, info)
        kept = {"commit": made.commit, "machine": made.machine, "versions": made.versions}
        facts |= flat({"run": kept})
    return facts


def _labels(folders: Sequence[Path]) -> tuple[str, ...]:
    """The shortest ends of the paths that distinguish the runs."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return tuple(names)
    raise AssertionError("different paths differ somewhere")


def _read_curves(folder: Path, label: str) -> dict[str, RunCurves]:
    """The curves of every stage that logged a loss, by the stage's name."""
    path = folder / "metrics.jsonl"
    metrics = read_metrics(path)
    if metrics is None:
        raise UserError(f"{folder} has no metrics.jsonl: nothing has been trained there yet")
    stages: dict[str, RunCurves] = {}
    for stage in dict.fromkeys(metric.stage for metric in metrics):
        # By step: a run that was rewound wrote some steps twice.
        rows = sorted((m for m in metrics if m.stage == stage), key=lambda m: m.step)
        curves = _curves(rows, label, stage)
        if curves.loss:
            stages[stage] = curves
    if not stages:
        raise UserError(f"{path} holds no losses: nothing has been trained there yet")
    return stages


def _curves(rows: Sequence[Metric], label: str, stage: str) -> RunCurves:
    spent = _spending(rows)

    def curve(of: Callable[[Metric], float | None]) -> list[tuple[Spent, float]]:
        return [(spent(m), value) for m in rows if (value := of(m)) is not None]

    loss = curve(lambda m: m.loss)
    return RunCurves(
        label,
        stage,
        loss,
        smoothed([value for _, value in loss]),
        curve(lambda m: m.validation_loss),
        curve(lambda m: m.lr),
        curve(lambda m: m.tokens_per_second),
    )


def _spending(rows: Sequence[Metric]) -> Callable[[Metric], Spent]:
    """What was spent at a row. Rows of validation do not record it, so the row before is used."""
    known: dict[int, Spent] = {}
    tokens: float | None = None
    seconds: float | None = None
    for m in rows:
        tokens = tokens if m.tokens is None else m.tokens
        seconds = seconds if m.seconds is None else m.seconds
        known[m.step] = Spent(m.step, tokens, seconds)
    return lambda metric: known[metric.step]


# ---------------------------------------------------------------------------------- comparing


def _differences(facts: Sequence[dict[str, str]]) -> list[Difference]:
    keys = dict.fromkeys(key for each in facts for key in each)
    found = []
    for key in keys:
        values = tuple(each.get(key) for each in facts)
        if len(set(values)) > 1 and key not in ("name", "about"):
            found.append(Difference(key, values))
    return found


def _caution(differences: Sequence[Difference]) -> str:
    """A warning if texts or tokenizers differ, on which a loss per token depends."""
    telling = ("tokenizer.", "pretrain.file", "problems.", "objective", "style", "chats.", "start")
    keys = [d.key for d in differences if d.key.startswith(telling)]
    if not keys:
        return ""
    named = ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "")
    return (
        f"These runs may have read different texts or tokens ({named}); if so, their losses per "
        "token cannot be compared."
    )


def _stages(folders: Sequence[Path], runs: Sequence[dict[str, RunCurves]]) -> list[StageComparison]:
    common = [name for name in runs[0] if all(name in run for run in runs)]
    if common:
        return [_stage(name, [run[name] for run in runs]) for name in common]
    if all(len(run) == 1 for run in runs):  # one model each, trained in different ways
        alone = [next(iter(run.values())) for run in runs]
        return [_stage(" / ".join(dict.fromkeys(c.stage for c in alone)), alone)]
    told = "; ".join(
        f"{folder} has {', '.join(run)}" for folder, run in zip(folders, runs, strict=True)
    )
    raise UserError(f"these runs have no stage of training in common: {told}")


def _stage(name: str, runs: Sequence[RunCurves]) -> StageComparison:
    training = [
        [(spent, value) for (spent, _), value in zip(run.loss, run.smooth, strict=True)]
        for run in runs
    ]
    checks = [run.validation for run in runs]
    return StageComparison(
        name, tuple(runs), _race(training), _race(checks) if all(checks) else None
    )


def _race(curves: Sequence[Sequence[tuple[Spent, float]]]) -> tuple[Reached, ...]:
    """When each run first reached the best loss of the worst run."""
    mark = max(min(value for _, value in curve) for curve in curves)
    return tuple(
        Reached(mark, next(spent for spent, value in curve if value <= mark)) for curve in curves
    )


def points(curve: Sequence[tuple[Spent, float]], axis: str) -> list[Point]:
    """A curve against ``axis``, a key of ``AXES``, without the rows that did not record it."""
    return [(at, value) for spent, value in curve if (at := getattr(spent, axis)) is not None]
