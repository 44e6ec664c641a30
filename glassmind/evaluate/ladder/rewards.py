"""Rewards of sampled chains: how high they are, and whether training could learn from them.

Methods that learn from groups of samples (GRPO: Shao et al. 2024, arXiv 2402.03300) compare the
chains of one problem with each other. They learn nothing from a problem whose chains all get the
same reward, so the share of problems whose rewards differ says how much signal there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.run_files import RewardRow
from glassmind.evaluate.wording import percent
from glassmind.reason.reward import Reward
from glassmind.records import Problem, Trace
from glassmind.statistics import mean_and_interval

_COLUMNS = (
    Column("reward", left=True),
    Column("n", rank=3),
    Column("samples", rank=3),
    Column("mean"),
    Column("95 % interval", rank=1),
    Column("differ", rank=1),
    Column("deviation", rank=2),
)


def reward_row(
    reward: Reward, slice: str, problems: Sequence[Problem], traces: Sequence[Trace]
) -> RewardRow:
    """The rewards of all chains, summarised. The interval is over problems, whose mean rewards are
    independent; with fewer than two problems it is the mean itself."""
    means, deviations = [], []
    samples = len(traces[0].completions)
    for problem, trace in zip(problems, traces, strict=True):
        scores = [reward.score(problem, completion) for completion in trace.completions]
        mean = math.fsum(scores) / len(scores)
        means.append(mean)
        deviations.append(math.sqrt(math.fsum((s - mean) ** 2 for s in scores) / len(scores)))
    mean, low, high = mean_and_interval(means) if len(means) > 1 else (means[0],) * 3
    return RewardRow(
        reward=reward.name,
        slice=slice,
        n=len(means),
        samples=samples,
        mean=mean,
        ci_low=low,
        ci_high=high,
        differing=sum(d > 0 for d in deviations) / len(deviations) if samples > 1 else None,
        deviation=math.fsum(deviations) / len(deviations) if samples > 1 else None,
    )


def rewards_text(rows: Sequence[RewardRow], width: int | None = None) -> str:
    """The rows as aligned lines, of at most ``width`` characters. ``differ`` is the share of
    problems whose chains differ in reward, ``deviation`` the mean standard deviation within a
    problem."""
    return "\n".join(table_lines(_COLUMNS, [_cells(row) for row in rows], width))


def _cells(row: RewardRow) -> tuple[str, ...]:
    return (
        row.reward,
        f"{row.n:,}",
        f"{row.samples}",
        f"{row.mean:.3f}",
        f"{row.ci_low:.3f} to {row.ci_high:.3f}",
        "" if row.differing is None else percent(row.differing),
        "" if row.deviation is None else f"{row.deviation:.3f}",
    )
