"""The comparison of architectures that ``benchmarks/architectures.py`` writes, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.learn.architectures.numbers import large
from glassmind.serialization import read_record

BASE = "base"  # the arm that most others are compared to

# A mean over seeds with its 95 % interval, or one value alone.
Spread = tuple[float, ...]


@dataclass(frozen=True)
class MeasuredArm:
    """One architecture, over all seeds; ``difference`` is paired with the arm ``against``.

    ``bits_per_byte`` and ``difference`` have an entry for each of ``Measured.lengths``.
    """

    group: str
    arm: str
    changes: str
    against: str
    parameters: int
    steps: int
    tokens_per_second: float
    bits_per_byte: tuple[Spread, ...]
    by_quarter: tuple[float, ...]
    difference: tuple[Spread, ...]
    flops_per_token: float
    kv_bytes_per_token: int


@dataclass(frozen=True)
class Measured:
    """The whole comparison. ``lengths`` are rows of validation text, the trained length first."""

    benchmark: str
    commit: str
    seeds: tuple[int, ...]
    seconds: float
    lengths: tuple[int, ...]
    tokens_of_base: int
    rows: tuple[MeasuredArm, ...]


def read_measured(path: Path) -> Measured:
    """Read the benchmark's results.

    Raises:
        UserError: the file is not JSON of that shape (the message names the field), or has no row
            for the base that the others are compared with.
    """
    measured = read_record(Measured, path, unknown_keys="refuse")
    if not any(arm.arm == BASE and arm.by_quarter for arm in measured.rows):
        raise UserError(f"{path}: rows: none is that of the arm {BASE!r}, measured by quarter")
    return measured


def measured_table(measured: Measured) -> str:
    """All arms in one table in Markdown, by groups."""
    trained, *longer = measured.lengths
    columns = (
        "",
        "arm",
        f"bits a byte at {trained}",
        "difference",
        *(f"at {length}" for length in longer),
        "tokens/s",
        "KV/token",
        "FLOPs/token",
        "parameters",
        "steps",
    )
    lines, group = [], BASE
    for arm in measured.rows:
        lines.append((arm.group if arm.group != group else "", *_cells(arm)))
        group = arm.group
    return markdown_table(columns, lines)


def measured_changes(measured: Measured) -> str:
    """The values by which each arm differs from the base, as a list."""
    return "\n".join(
        f"- {arm.arm}: {', '.join(f'`{change}`' for change in arm.changes.split())}"
        for arm in measured.rows
        if arm.changes
    )


def markdown_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table of text cells."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(arm: MeasuredArm) -> tuple[str, ...]:
    first, *longer = arm.bits_per_byte
    return (
        arm.arm,
        f"{first[0]:.3f}",
        _difference(arm),
        *(f"{spread[0]:.3f}" for spread in longer),
        f"{arm.tokens_per_second:,.0f}",
        f"{arm.kv_bytes_per_token:,} B",
        large(arm.flops_per_token),
        large(arm.parameters),
        f"{arm.steps:,}",
    )


def _difference(arm: MeasuredArm) -> str:
    if arm.arm == arm.against:
        return ""
    mean, *interval = arm.difference[0]
    bounds = f" ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else ""
    against = "" if arm.against == BASE else f" against {arm.against}"
    return f"{mean:+.3f}{bounds}{against}"
