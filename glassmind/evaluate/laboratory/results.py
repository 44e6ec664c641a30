"""The laboratory's record, its table and its sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from glassmind.errors import UserError
from glassmind.evaluate.columns import Column
from glassmind.evaluate.laboratory.estimators import SECTIONS, estimators
from glassmind.evaluate.laboratory.measure import Measured, measure
from glassmind.evaluate.laboratory.toy import QUESTIONS
from glassmind.evaluate.laboratory.world import World, make_world
from glassmind.evaluate.wording import percent
from glassmind.progress import Progress, Silent, watched

SEED, GROUP, SAMPLES = 11, 2, 20_000
MOST_GROUP, LEAST_SAMPLES, MOST_SAMPLES, MOST_SEED = 8, 1_000, 100_000, 2**31
NO_BIAS = 1e-9
"""A bias below this is rounding."""

COLUMNS = (
    Column("estimator", left=True),
    Column("length", rank=1),
    Column("angle"),
    Column("bias", rank=1),
    Column("completions"),
    Column("", left=True, rank=2),
)


@dataclass(frozen=True)
class Laboratory:
    """``solve_rates`` are the policy's probabilities of a right answer, by question."""

    group: int
    seed: int
    samples: int
    solve_rates: dict[str, float]
    rows: tuple[Measured, ...]
    schema: int = 1

    def of(self, section: str) -> list[Measured]:
        return [row for row in self.rows if row.section == section]


def run_laboratory(
    group: int = GROUP,
    seed: int = SEED,
    samples: int = SAMPLES,
    progress: Progress | None = None,
) -> Laboratory:
    """Measure all estimators.

    Raises:
        UserError: a number is out of range.
    """
    for name, value, least, most in (
        ("group", group, 2, MOST_GROUP),
        ("samples", samples, LEAST_SAMPLES, MOST_SAMPLES),
        ("seed", seed, 0, MOST_SEED),
    ):
        if not least <= value <= most:
            raise UserError(f"--{name} takes a number from {least} to {most}, not {value}")
    world = make_world(seed)
    chosen = estimators()
    rows = []
    with watched(progress or Silent(), "laboratory", len(chosen), "estimators") as done:
        for estimator in chosen:
            rows.append(measure(world, estimator, group=group, samples=samples, seed=seed))
            done(len(rows), len(chosen))
    return Laboratory(group, seed, samples, _solve_rates(world), tuple(rows))


def _solve_rates(world: World) -> dict[str, float]:
    right_C = world.probabilities("policy") * world.toy.rewards_CK[:, 0]
    return {
        name: float(right_C[world.toy.of_question(number)].sum())
        for number, name in enumerate(QUESTIONS)
    }


def table_rows(rows: list[Measured]) -> list[tuple[str, ...]]:
    """The cells of ``COLUMNS``."""
    return [
        (row.name, f"{row.length:.2f}", angle(row), bias(row), needed(row), row.says)
        for row in rows
    ]


def degrees(row: Measured) -> float | None:
    """The angle between expected and true gradient; ``None`` if there is no expected gradient."""
    if row.cosine is None:
        return None
    return 0.0 if points_right(row) else math.degrees(math.acos(row.cosine))


def points_right(row: Measured) -> bool:
    """Whether the expected gradient has the direction of the true one, but for rounding."""
    return row.cosine is not None and 1 - row.cosine < NO_BIAS


def angle(row: Measured) -> str:
    found = degrees(row)
    if found is None:
        return "-"
    return "0" if points_right(row) else f"{found:.1f}°"


def bias(row: Measured) -> str:
    if row.bias_error:
        return f"{row.bias:.3f} ± {row.bias_error:.3f}"
    return "0" if row.bias < NO_BIAS else f"{row.bias:.2f}"


def needed(row: Measured) -> str:
    return "never" if row.completions is None else f"{row.completions:,.0f}"


def setting(laboratory: Laboratory) -> str:
    """What was measured, in sentences."""
    rates = " and ".join(f"{percent(p)} ({name})" for name, p in laboratory.solve_rates.items())
    random = sum(not row.exact for row in laboratory.rows)
    how = "All expectations are sums over every set of samples that can be drawn."
    if random:
        how = (
            f"{random} of {len(laboratory.rows)} rows are means over {laboratory.samples:,} random "
            "sets of samples, with ± one standard error; the others are sums over every set that "
            "can be drawn."
        )
    return (
        f"Two questions with 15 completions each, which the policy answers right in {rates}; "
        f"groups of {laboratory.group}. {how}"
    )


def finding(laboratory: Laboratory) -> str:
    """How many estimators are unbiased, and which is furthest off, in a sentence."""
    exact = sum(row.bias < NO_BIAS for row in laboratory.rows)
    turned = [(found, row) for row in laboratory.rows if (found := degrees(row)) is not None]
    most, worst = max(turned, key=lambda pair: pair[0])
    return (
        f"{exact} of {len(laboratory.rows)} estimators have the true gradient as their "
        f"expectation; the furthest off is {worst.name} ({SECTIONS[worst.section].lower()}), at "
        f"{most:.0f} degrees."
    )
