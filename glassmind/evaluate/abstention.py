"""Declining to answer: how often rightly, how often wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.wording import interval, percent
from glassmind.statistics import wilson_interval

_COLUMNS = (
    Column("method", left=True),
    Column("declined"),
    Column("precision"),
    Column("95 % interval", rank=2),
    Column("recall"),
    Column("95 % interval", rank=2),
    Column("F1"),
    Column("right of answerable", rank=1),
)


@dataclass(frozen=True, slots=True)
class AbstentionRow:
    """One method on ``answerable`` questions that have an answer and ``unanswerable`` ones.

    ``declined_rightly`` and ``declined_wrongly`` count questions that it did not answer, by whether
    they cannot be answered; ``right`` counts right answers to answerable ones.
    """

    method: str
    answerable: int
    unanswerable: int
    declined_rightly: int
    declined_wrongly: int
    right: int

    @property
    def declined(self) -> int:
        return self.declined_rightly + self.declined_wrongly

    @property
    def precision(self) -> float | None:
        """Share of the declined questions that cannot be answered; ``None`` if none was."""
        return self.declined_rightly / self.declined if self.declined else None

    @property
    def recall(self) -> float | None:
        """Share of the questions without an answer that were declined."""
        return self.declined_rightly / self.unanswerable if self.unanswerable else None

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 if nothing was declined rightly."""
        return 2 * self.declined_rightly / max(1, self.declined + self.unanswerable)


def abstention_text(rows: Sequence[AbstentionRow], width: int | None = None) -> str:
    """The rows as aligned lines of at most ``width`` characters."""
    return "\n".join(table_lines(_COLUMNS, [_cells(row) for row in rows], width))


def _cells(row: AbstentionRow) -> tuple[str, ...]:
    return (
        row.method,
        f"{row.declined:,} of {row.answerable + row.unanswerable:,}",
        *_share(row.declined_rightly, row.declined),
        *_share(row.declined_rightly, row.unanswerable),
        f"{row.f1:.3f}",
        percent(row.right / row.answerable) if row.answerable else "",
    )


def _share(part: int, whole: int) -> tuple[str, str]:
    return (percent(part / whole), interval(*wilson_interval(part, whole))) if whole else ("", "")
