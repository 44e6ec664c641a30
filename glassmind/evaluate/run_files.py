"""What a finished run left in its folder, as typed records.

The report is made from files alone, so it can be rebuilt at any time, on another machine, without
the model. The results of a ladder (``ladder.json``) or the metrics of a training run
(``metrics.jsonl``) must be there; every other file may be missing, and then its part of the report
says so. A file that is there but malformed is a ``UserError`` that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from glassmind.errors import UserError
from glassmind.records import LogprobDifference
from glassmind.runs.results import RunInfo, Validation
from glassmind.serialization import decode, parse_json, read_record

T = TypeVar("T")

MAX_BYTES = 64 * 2**20
"""Of a text; a larger file is refused: a report has no use for it, and memory is finite."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The exact paired test of a row against another rung on the same problems."""

    against: str
    p_value: float


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One method on one slice. Shares in [0, 1], ``ci_*`` the 95 % Wilson interval.

    ``p_value`` is the exact paired test of this row against the rung ``against`` on the same
    problems; both are ``None`` where there is nothing to compare with. ``comparisons`` holds every
    test made for this row, that one included, where the run recorded them.
    """

    rung: str
    slice: str
    n: int
    correct: int
    accuracy: float
    ci_low: float
    ci_high: float
    tokens_per_problem: float
    seconds: float
    against: str | None = None
    p_value: float | None = None
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """``ladder.json``: the staged table of one run."""

    schema: int
    recipe: str
    commit: str
    seed: int
    rows: tuple[LadderRow, ...]

    def row(self, rung: str, slice: str) -> LadderRow | None:
        """The row of a rung on a slice, if there is one."""
        return next((r for r in self.rows if r.rung == rung and r.slice == slice), None)


@dataclass(frozen=True, slots=True)
class Inspection:
    """A look inside one training step (``train.inspection`` says what is measured and how).

    ``gradients`` and ``updates`` are by parameter; ``residual`` goes from the embedding to the last
    block, the other lists have an entry for each of ``blocks``. ``None`` is what could not be
    measured, or was not a number.
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
    """A line of ``metrics.jsonl``: a training step, or a validation or an inspection now and then,
    or, once for everything that was sampled, how far engine and trainer differ.

    A loss that was not a number (a diverged run) is read as ``None``. ``tokens`` and ``seconds``
    are those spent up to the step, ``lr`` is the share of the peak learning rates, ``trouble`` is
    what the trainer's guard said about a step.
    """

    stage: str
    step: int
    loss: float | None = None
    lr: float | None = None
    tokens: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    trouble: str | None = None
    inspection: Inspection | None = None
    engine_trainer_logprob_diff: LogprobDifference | None = None


@dataclass(frozen=True, slots=True)
class StepsRow:
    """An entry of ``by_steps.json``: accuracy on the problems with so many steps."""

    rung: str
    slice: str
    steps: int
    n: int
    correct: int
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class VotesRow:
    """An entry of ``votes.json``: accuracy when ``k`` samples are drawn."""

    rung: str
    k: int
    n: int
    correct: int
    ci_low: float
    ci_high: float
    tokens_per_problem: float


@dataclass(frozen=True, slots=True)
class Greedy:
    """The greedy chain of an example."""

    steps: tuple[str, ...]
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One sampled chain.

    ``step_scores`` and ``step_valid`` stand beside ``steps``; they may be shorter: a step that
    was cut off in the middle has no end at which to score it.
    """

    steps: tuple[str, ...]
    answer: str | None
    correct: bool
    logprob: float
    step_scores: tuple[float, ...] = ()
    step_valid: tuple[bool | None, ...] = ()
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A problem of ``examples.json`` with everything that was sampled for it."""

    question: str
    answer: str
    gold_steps: tuple[str, ...]
    solved: bool
    chains: tuple[Chain, ...]
    vote: dict[str, int]
    self_consistency: str | None = None
    verifier: str | None = None
    greedy: Greedy | None = None


@dataclass(frozen=True, slots=True)
class Attention:
    """``attention.json``: ``weights[i][j]`` is how much token *i* looks at token *j*."""

    layer: int
    head: int
    tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Everything the report is made from; ``None`` where the file is missing."""

    name: str
    ladder: Ladder | None
    metrics: tuple[Metric, ...] | None
    by_steps: tuple[StepsRow, ...] | None
    votes: tuple[VotesRow, ...] | None
    examples: tuple[Example, ...] | None
    attention: Attention | None
    run: RunInfo | None
    recipe: str | None
    validation: Validation | None


def read_run_files(folder: Path) -> RunFiles:
    """Read a run folder. Raises ``UserError`` where it is not one, or a file is malformed."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a run, such as runs/demo")
    has_ladder = (folder / "ladder.json").is_file()
    metrics = read_metrics(folder / "metrics.jsonl")
    if not has_ladder and not metrics:
        raise UserError(
            f"{folder} has no ladder.json and no metrics.jsonl; run the ladder or a training there "
            "before its report"
        )
    return RunFiles(
        name=folder.resolve().name,
        ladder=read_ladder(folder / "ladder.json") if has_ladder else None,
        metrics=metrics,
        by_steps=_read(tuple[StepsRow, ...], folder / "by_steps.json"),
        votes=_read(tuple[VotesRow, ...], folder / "votes.json"),
        examples=_check_examples(folder / "examples.json"),
        attention=_check_attention(folder / "attention.json"),
        run=_read(RunInfo, folder / "run.json"),
        recipe=_text(folder / "recipe.toml"),
        validation=_read(Validation, folder / "validation.json"),
    )


def read_ladder(path: Path) -> Ladder:
    """Read a ``ladder.json``. Raises ``UserError`` where it is missing, foreign or inconsistent."""
    ladder = _read(Ladder, path)
    if ladder is None:
        raise UserError(f"{path} does not exist")
    if ladder.schema != 1:
        raise UserError(f"{path}: schema should be 1, not {ladder.schema}")
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


def _check_examples(path: Path) -> tuple[Example, ...] | None:
    examples = _read(tuple[Example, ...], path)
    for i, example in enumerate(examples or ()):
        for j, chain in enumerate(example.chains):
            for marks in (chain.step_scores, chain.step_valid):
                if len(marks) > len(chain.steps):
                    raise UserError(f"{path}: [{i}].chains[{j}] has more marks than steps")
    return examples


def _check_attention(path: Path) -> Attention | None:
    attention = _read(Attention, path)
    if attention is not None:
        tokens = len(attention.tokens)
        if len(attention.weights) != tokens or any(len(r) != tokens for r in attention.weights):
            raise UserError(f"{path}: weights should be a square with one row for each token")
    return attention


def read_metrics(path: Path) -> tuple[Metric, ...] | None:
    """Read a ``metrics.jsonl``, ``None`` where there is none.

    Raises ``UserError``, with file and line, where a line is malformed.
    """
    text = _text(path)
    if text is None:
        return None
    lines = text.splitlines()
    # An interrupted run may leave half a line at the end; anywhere else that is damage.
    if lines and not text.endswith("\n"):
        lines.pop()
    metrics = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = parse_json(line, where, nonfinite="null")
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
    return read_record(kind, path) if path.exists() else None


def _text(path: Path) -> str | None:
    """The file's text, ``None`` where there is no such file."""
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
