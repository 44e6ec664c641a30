"""A verifier's reliability, and the rules for choosing as n grows, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.evaluate.charts.line_chart import Line, line_chart
from glassmind.evaluate.verifier.choosing import Choice
from glassmind.evaluate.verifier.quality import Calibrated


def reliability_picture(outcome: Calibrated, steps: Calibrated | None = None) -> str:
    """What came true against what was said; the dashed diagonal is perfect calibration."""
    lines = [
        Line("calibrated", [(0.0, 0.0), (1.0, 1.0)], tone=7, dashed=True),
        Line("whole chains", _points(outcome), tone=0),
    ]
    if steps is not None:
        lines.append(Line("steps", _points(steps), tone=1))
    found = line_chart(
        lines,
        "the verifier's score",
        f"Reliability of {outcome.n} scores of chains: Brier {outcome.brier:.3f}, expected "
        f"calibration error {outcome.ece:.3f}.",
        x_format=lambda value: f"{value:.0%}",
        y_format=lambda value: f"{value:.0%}",
    )
    assert found is not None  # the diagonal is always there
    return found


def _points(calibrated: Calibrated) -> list[tuple[float, float]]:
    return [(found.mean, found.correct / found.n) for found in calibrated.bins]


def choosing_picture(choices: Sequence[Choice]) -> str:
    """The accuracy of each rule against the number of chains."""
    rules = list(dict.fromkeys(choice.rule for choice in choices))
    lines = [
        Line(
            rule,
            [(float(c.n), c.accuracy) for c in choices if c.rule == rule],
            tone=number,
            dashed=rule == rules[-1],
        )
        for number, rule in enumerate(rules)
    ]
    found = line_chart(
        lines,
        "number of chains",
        "Accuracy of each way of choosing against the number of chains.",
        x_format=lambda value: f"{value:.0f}",
        y_format=lambda value: f"{value:.1%}",
    )
    assert found is not None
    return found
