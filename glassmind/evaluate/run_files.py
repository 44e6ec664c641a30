"""The files of a finished run, as typed records.

The report is made from files alone, so it can be rebuilt at any time, on another machine, without
the model. The results of a ladder (``ladder.json``) or the metrics of a training run
(``metrics.jsonl``) must be there; if another file is missing, its part of the report says so. A
malformed file raises a ``UserError`` that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from glassmind.errors import UserError
from glassmind.evaluate.abstention import AbstentionRow
from glassmind.evaluate.coverage import FILE as COVERAGE_FILE
from glassmind.evaluate.coverage import Coverage, read_coverage
from glassmind.evaluate.examples import Example, read_examples
from glassmind.evaluate.policy_figures import PolicyFigures, policy_values
from glassmind.evaluate.provenance import Provenance
from glassmind.evaluate.schema_1 import ladder_of_schema_1, renamed, with_renamed
from glassmind.notebook import table
from glassmind.records import LogprobDifference
from glassmind.runs.results import RunInfo, Validation
from glassmind.runs.reward_groups import LoggedGroup, read_groups
from glassmind.runs.watched_problems import WatchedStep, read_watched
from glassmind.serialization import MOST_RESULT, decode, parse_json, read_json

SCHEMA = 2
"""The version of ``ladder.json``."""

T = TypeVar("T")

MAX_BYTES = 64 * 2**20
"""The limit for a text; a larger file is refused to bound the memory."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The exact paired test of a row against another method on the same problems.

    ``gained`` and ``lost`` count the problems that only this method, or only the other, solved.
    """

    against: str
    p_value: float
    gained: int | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One method on one slice. Shares in [0, 1], ``ci_*`` the 95 % Wilson interval.

    ``p_value`` is the exact paired test of this row against the method ``against`` on the same
    problems; both are ``None`` if there is nothing to compare with. ``comparisons`` holds every
    test made for this row, including that one, if the run recorded them.

    Tokens and seconds are the method's mean cost per problem (``records.Cost``), ``None`` if the
    run did not count them.
    """

    rung: str
    slice: str
    n: int
    correct: int
    accuracy: float
    ci_low: float
    ci_high: float
    completion_tokens: float
    seconds: float
    prompt_tokens: float | None = None
    judged_tokens: float | None = None
    against: str | None = None
    p_value: float | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def tokens(self) -> float:
        """Tokens written and judged per problem, the cost that charts use."""
        return self.completion_tokens + (self.judged_tokens or 0.0)


@dataclass(frozen=True, slots=True)
class RewardRow:
    """A reward of the ``samples`` chains of ``n`` problems: the mean with its interval, the share
    of problems whose chains get ``differing`` rewards, and the mean standard deviation within a
    problem; these two are ``None`` if there is one chain per problem."""

    reward: str
    slice: str
    n: int
    samples: int
    mean: float
    ci_low: float
    ci_high: float
    differing: float | None = None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """``ladder.json``: the staged table of one run.

    ``skipped`` counts the questions that were too long for the model, which count as wrong.
    ``rewards`` are those that were asked for, ``abstention`` is there for a task with questions
    that cannot be answered. An evaluation has a ``provenance``; the ladder of a run has a recipe.
    """

    schema: int
    recipe: str
    commit: str
    seed: int
    rows: tuple[LadderRow, ...]
    skipped: int = 0
    rewards: tuple[RewardRow, ...] = ()
    abstention: tuple[AbstentionRow, ...] = ()
    provenance: Provenance | None = None

    def __str__(self) -> str:
        from glassmind.evaluate.ladder.table import ladder_text  # which reads this file's records

        return ladder_text(self)

    def _repr_html_(self) -> str:
        from glassmind.evaluate.ladder.table import ladder_cells

        headings, *rows = ladder_cells(self)
        return table(headings, rows)

    def row(self, rung: str, slice: str) -> LadderRow | None:
        """The row of a method on a slice, if there is one."""
        return next((r for r in self.rows if r.rung == rung and r.slice == slice), None)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The inspection of one training step; ``train.watching.inspection`` says what is measured.

    ``gradients`` and ``updates`` are by parameter; ``residual`` goes from the embedding to the last
    block, the other lists have an entry for each of ``blocks``. A value that could not be measured,
    or was not a number, is ``None``.
    """

    blocks: tuple[str, ...]
    gradients: dict[str, float | None]
    updates: dict[str, float | None]
    residual: tuple[float | None, ...] = ()
    attention: tuple[float | None, ...] = ()
    feed_forward: tuple[float | None, ...] = ()
    silent: tuple[float | None, ...] = ()
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A line of ``metrics.jsonl``: a training step, a validation, an inspection, or how far the
    log-probabilities of engine and trainer differ.

    A loss that was not a number (a diverged run) is read as ``None``. ``tokens`` and ``seconds``
    are those spent up to the step, ``lr`` is the share of the peak learning rates, ``trouble`` is
    the message of the trainer's guard about a step, ``policy`` is there where a step was one of
    learning from reward, and ``logprob_chosen`` is the mean log-probability of the answers that a
    preference loss prefers.
    """

    stage: str
    step: int
    loss: float | None = None
    lr: float | None = None
    tokens: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    validation_loss: float | None = None
    trouble: str | None = None
    inspection: Inspection | None = None
    engine_trainer_logprob_diff: LogprobDifference | None = None
    policy: PolicyFigures | None = None
    logprob_chosen: float | None = None


@dataclass(frozen=True, slots=True)
class StepsRow:
    """An entry of ``by_steps.json``: accuracy on the problems with this number of steps."""

    rung: str
    slice: str
    steps: int
    n: int
    correct: int
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class VotesRow:
    """An entry of ``votes.json``: accuracy when ``k`` samples are drawn.

    ``tokens_per_problem`` are those written and judged.
    """

    rung: str
    k: int
    n: int
    correct: int
    ci_low: float
    ci_high: float
    tokens_per_problem: float


@dataclass(frozen=True, slots=True)
class Attention:
    """``attention.json``: ``weights[i][j]`` is how much token *i* attends to token *j*."""

    layer: int
    head: int
    tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class HeadShares:
    """``shares[layer][head]``: how much of its attention a head spends on the tokens that operands
    come from, the mean over ``operands`` tokens of operands; ``evenly`` is what attention spread
    evenly over all visible tokens would spend there."""

    operands: int
    evenly: float
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class DependencyAttention:
    """``dependencies.json``: the heads of a model before its training and after."""

    before: HeadShares | None
    after: HeadShares


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Everything the report is made from; ``None`` if the file is missing. ``groups`` and
    ``watched`` are some of the lines of those files."""

    name: str
    ladder: Ladder | None
    metrics: tuple[Metric, ...] | None
    by_steps: tuple[StepsRow, ...] | None
    votes: tuple[VotesRow, ...] | None
    examples: tuple[Example, ...] | None
    attention: Attention | None
    dependencies: DependencyAttention | None
    run: RunInfo | None
    recipe: str | None
    validation: Validation | None
    groups: tuple[LoggedGroup, ...] = ()
    watched: tuple[WatchedStep, ...] = ()
    coverage: Coverage | None = None


MOST_GROUPS = 60
"""Logged groups that a report reads, evenly over the run; a histogram needs no more."""

MOST_WATCHED = 8
"""Times at which the report shows the watched problems, evenly over the run."""


def read_run_files(folder: Path) -> RunFiles:
    """Read a run folder. Raises ``UserError`` if it is not one, or if a file is malformed."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a run, such as runs/demo")
    has_ladder = (folder / "ladder.json").is_file()
    metrics = read_metrics(folder / "metrics.jsonl")
    if not has_ladder and not metrics:
        raise UserError(
            f"{folder} has no ladder.json and no metrics.jsonl; run the ladder or a training there "
            "before its report"
        )
    examples = folder / "examples.json"
    return RunFiles(
        name=folder.resolve().name,
        ladder=read_ladder(folder / "ladder.json") if has_ladder else None,
        metrics=metrics,
        by_steps=_read_rows(StepsRow, folder / "by_steps.json"),
        votes=_read_rows(VotesRow, folder / "votes.json"),
        examples=read_examples(examples) if examples.exists() else None,
        attention=_check_attention(folder / "attention.json"),
        dependencies=_check_dependencies(folder / "dependencies.json"),
        run=_read(RunInfo, folder / "run.json"),
        recipe=_text(folder / "recipe.toml"),
        validation=_read(Validation, folder / "validation.json"),
        groups=tuple(read_groups(folder, MOST_GROUPS)),
        watched=tuple(read_watched(folder, MOST_WATCHED)),
        coverage=read_coverage(folder / COVERAGE_FILE),
    )


def read_ladder(path: Path) -> Ladder:
    """Read a ``ladder.json`` of this schema or the one before it.

    Raises ``UserError`` if it is missing, something else, or inconsistent.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist")
    value = ladder_of_schema_1(read_json(path, most=MOST_RESULT))
    ladder = decode(Ladder, value, str(path), unknown_keys="ignore")
    if ladder.schema != SCHEMA:
        raise UserError(f"{path}: schema should be at most {SCHEMA}, not {ladder.schema}")
    for i, row in enumerate(ladder.rows):
        where = f"{path}: rows[{i}]"
        # A little slack, for files whose numbers were rounded.
        inside = row.ci_low - 0.001 <= row.accuracy <= row.ci_high + 0.001
        shares = all(0 <= share <= 1 for share in (row.ci_low, row.accuracy, row.ci_high))
        if not (inside and shares and 0 <= row.correct <= row.n):
            raise UserError(f"{where} has an accuracy outside its interval or a count above n")
        for p in (row.p_value, *(c.p_value for c in row.comparisons)):
            if p is not None and not 0 <= p <= 1:
                raise UserError(f"{where}.p_value should lie in [0, 1], not {p}")
        for other in (row.against, *(c.against for c in row.comparisons)):
            if other is not None and ladder.row(other, row.slice) is None:
                raise UserError(f"{where} is compared with {other!r}, which has no row there")
    return ladder


def _check_dependencies(path: Path) -> DependencyAttention | None:
    found = _read(DependencyAttention, path)
    if found is not None and found.before is not None:
        sizes = [[len(layer) for layer in each.shares] for each in (found.before, found.after)]
        if sizes[0] != sizes[1]:
            raise UserError(f"{path}: before and after must have the same layers and heads")
    return found


def _check_attention(path: Path) -> Attention | None:
    attention = _read(Attention, path)
    if attention is not None:
        tokens = len(attention.tokens)
        if len(attention.weights) != tokens or any(len(r) != tokens for r in attention.weights):
            raise UserError(f"{path}: weights should be a square with one row for each token")
    return attention


def read_metrics(path: Path) -> tuple[Metric, ...] | None:
    """Read a ``metrics.jsonl``; ``None`` if there is none.

    Raises ``UserError``, with file and line, if a line is malformed.
    """
    text = _text(path)
    if text is None:
        return None
    lines = text.splitlines()
    # An interrupted run may leave half a line at the end; elsewhere it means a damaged file.
    if lines and not text.endswith("\n"):
        lines.pop()
    metrics = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = parse_json(line, where, nonfinite="null", most=MOST_RESULT)
            if isinstance(row, dict) and "stage" in row:
                row["stage"] = renamed(row["stage"])
            if isinstance(row, dict):
                row["policy"] = policy_values(row)
            metric = decode(Metric, row, where, unknown_keys="ignore")
            _check_inspection(metric.inspection, where)
            metrics.append(metric)
    return tuple(metrics)


def _check_inspection(looked: Inspection | None, where: str) -> None:
    if looked is not None:
        lists = (looked.attention, looked.feed_forward, looked.silent, looked.residual[1:])
        if any(len(values) not in (0, len(looked.blocks)) for values in lists):
            raise UserError(f"{where}: inspection should have a value for each of its blocks")


def _read(kind: type[T], path: Path) -> T | None:
    if not path.exists():
        return None
    return decode(kind, read_json(path, most=MOST_RESULT), str(path), unknown_keys="ignore")


def _read_rows(kind: type[T], path: Path) -> tuple[T, ...] | None:
    if not path.exists():
        return None
    rows = with_renamed(read_json(path, most=MOST_RESULT), "rung")
    return tuple(decode(list[kind], rows, str(path), unknown_keys="ignore"))  # type: ignore[valid-type]


def _text(path: Path) -> str | None:
    """The file's text; ``None`` if there is no such file."""
    try:
        if not path.exists():
            return None
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES // 2**20} MB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
