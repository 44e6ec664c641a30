"""The report's charts of learning from reward; the title of each is followed by its finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from glassmind.evaluate.charts.histogram import histogram
from glassmind.evaluate.charts.line_chart import Line, keys, line_chart
from glassmind.evaluate.diagnosis.policy_run import Change, PolicyRun
from glassmind.evaluate.policy_figures import PolicyFigures
from glassmind.evaluate.report.training_panels import Panel
from glassmind.evaluate.wording import count, percent
from glassmind.quantity import quantity
from glassmind.runs.reward_groups import LoggedGroup

Figure = Callable[[PolicyFigures], float | None]
Numbers = Callable[[float], str]


def policy_panels(run: PolicyRun, groups: Sequence[LoggedGroup]) -> list[Panel]:
    """Every panel for which there are figures."""
    plain = "{:.3g}".format
    drawn = [
        _solving(run),
        _rewards(run),
        _lines(run, "Groups that differ", [("share of groups", lambda row: row.informative)],
               "of the groups have different rewards; the others teach nothing", percent),
        _lines(run, "Length", [("tokens", lambda row: row.length)], "tokens a completion", count),
        _lines(run, "Cut off at the limit", [("share", lambda row: row.truncated)],
               "of the completions reach the limit of tokens", percent),
        _lines(run, "Entropy", [("entropy", lambda row: row.entropy)], "nats a token", plain),
        _lines(run, "Divergence from the reference", [("k3", lambda row: row.kl)], "nats a token",
               plain),
        _lines(run, "Clipped tokens",
               [("below the lower bound", lambda row: row.clipped_low),
                ("above the upper bound", lambda row: row.clipped_high),
                ("probability doubled or halved", lambda row: row.ratio_far)],
               "of the tokens are below the lower bound", percent),
        _lines(run, "Speed",
               [("sampling", lambda row: row.sampling_tokens_per_second),
                ("learning", lambda row: row.learning_tokens_per_second)],
               "tokens a second are sampled", count),
        _advantages(groups),
        _ratios(groups),
    ]  # fmt: skip
    return [panel for panel in drawn if panel is not None]


def _solving(run: PolicyRun) -> Panel | None:
    lines = _kept(
        run,
        [("training problems, sampled", lambda row: row.solve_rate),
         ("watched problems, greedy", lambda row: row.watched)],
    )  # fmt: skip
    change = run.change(lambda row: row.solve_rate)
    about = _moved("the share of right answers", change, percent)
    return _panel("Solved", about, lines, percent)


def _rewards(run: PolicyRun) -> Panel | None:
    names = list(dict.fromkeys(name for _, row in run.rows for name in row.rewards))
    figures: list[tuple[str, Figure]] = [("sum", lambda row: row.reward)]
    if len(names) > 1:
        figures += [(name, _part(name)) for name in names]
    change = run.change(lambda row: row.reward)
    about = _moved("the mean reward", change, "{:.3g}".format)
    return _panel("Reward", about, _kept(run, figures), "{:.3g}".format)


def _part(name: str) -> Figure:
    return lambda row: row.rewards.get(name)


def _lines(
    run: PolicyRun, title: str, figures: Sequence[tuple[str, Figure]], unit: str, form: Numbers
) -> Panel | None:
    """Figures over the steps; the sentence is about the first of them."""
    lines = _kept(run, figures)
    if not any(value for line in lines for _, value in line.points):
        return None  # a figure that is always 0 has nothing to show
    change = run.change(figures[0][1])
    if change is None:
        return _panel(title, f"{unit}; too short a run to speak of a trend", lines, form)
    return _panel(title, f"from {form(change.first)} to {form(change.last)} {unit}", lines, form)


def _kept(run: PolicyRun, figures: Sequence[tuple[str, Figure]]) -> list[Line]:
    found = [
        Line(name, [(float(step), value) for step, value in run.values(figure)], tone)
        for tone, (name, figure) in enumerate(figures)
    ]
    return [line for line in found if line.points]


def _panel(title: str, about: str, lines: Sequence[Line], form: Numbers) -> Panel | None:
    svg = line_chart(lines, "training step", f"{title}: {about}.", x_format=count, y_format=form)
    named = keys(lines) if len(lines) > 1 else ""
    return None if svg is None else Panel(title, about, svg, named)


def _moved(what: str, change: Change | None, form: Numbers) -> str:
    if change is None:
        return f"{what}; too short a run to speak of a trend"
    verb = "rose" if change.rose else "fell" if change.fell else "did not clearly change"
    return f"{what} {verb}: {form(change.first)} at the beginning, {form(change.last)} at the end"


def _advantages(groups: Sequence[LoggedGroup]) -> Panel | None:
    values = [one.advantage for group in groups for one in group.completions]
    still = sum(value == 0 for value in values) / max(1, len(values))
    about = f"{percent(still)} of {quantity(len(values), 'completion')} have an advantage of 0"
    svg = histogram(values, "advantage", f"Advantages: {about}.", x_format="{:.2g}".format)
    return None if svg is None else Panel("Advantages", f"of the logged groups; {about}", svg)


def _ratios(groups: Sequence[LoggedGroup]) -> Panel | None:
    values = [
        now - then
        for group in groups
        for one in group.completions
        for now, then, learned in zip(one.logprobs, one.sampled_logprobs, one.written, strict=False)
        if learned and math.isfinite(now - then)
    ]
    farthest = max(map(abs, values), default=0.0)
    about = f"trainer over sampler, first pass: no token is further than {farthest:.2g} from 0"
    svg = histogram(values, "log ratio", f"Log ratios: {about}.", x_format="{:.1e}".format)
    return None if svg is None else Panel("Ratios at the first pass", about, svg)
