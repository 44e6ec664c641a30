"""The report's charts of what happened inside the layers while a stage was trained.

They are drawn from the inspections in ``metrics.jsonl`` (``train.inspect_every``): gradients and
silent units as heat maps of depth by step, the sizes of updates and activations as lines.
``diagnosis`` says in words what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from glassmind.evaluate.charts.line_chart import Band, Line, keys, line_chart
from glassmind.evaluate.charts.svg import element, label, picture
from glassmind.evaluate.diagnosis.loss_judgements import UPDATE_BAND
from glassmind.evaluate.diagnosis.stage_figures import block_gradients
from glassmind.evaluate.run_files import Inspection, Metric
from glassmind.evaluate.wording import count

MUON_BAND = (3e-3, 3e-2)
"""The size of Muon's updates depends on its learning rate, not on the gradient: about 0.9 × 0.02
for a fresh square matrix, less as matrices grow and the learning rate falls."""

MAX_COLUMNS = 60
"""At most this many inspected steps, evenly chosen, are columns of a heat map."""

DECADES = 4
"""The shades of gradients cover this many powers of ten below the largest; smaller gradients have
vanished anyway."""

_SHADES = 12
_WIDTH, _NAMES, _RIGHT = 400, 70, 10

Look = tuple[int, Inspection]


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing (``svg``) with its ``title``, a sentence about it and its colour keys (HTML)."""

    title: str
    about: str
    svg: str
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A row of the table below the charts: one matrix at the last inspected step."""

    name: str
    gradient: float | None
    update: float | None


def looks_of(metrics: Sequence[Metric], stage: str) -> list[Look]:
    """The inspected steps of a stage."""
    return [(m.step, m.inspection) for m in metrics if m.stage == stage and m.inspection]


def inspection_panels(looks: Sequence[Look]) -> list[Panel]:
    """Every panel for which these inspections have data."""
    drawn = (_gradient_panel(looks), _update_panel(looks), _activation_panel(looks),
             _silent_panel(looks))  # fmt: skip
    return [panel for panel in drawn if panel is not None]


def matrices(looks: Sequence[Look]) -> list[Matrix]:
    """Gradient and update of every matrix at the last inspected step."""
    if not looks:
        return []
    last = looks[-1][1]
    return [Matrix(name, g, last.updates.get(name)) for name, g in last.gradients.items()]


def _gradient_panel(looks: Sequence[Look]) -> Panel | None:
    rows: dict[str, list[float | None]] = {}
    looks = _columns(looks)
    for i, (_, look) in enumerate(looks):
        outside = {
            _place(name): norm for name, norm in look.gradients.items() if not _block(name, look)
        }
        by_block = zip(map(_short, look.blocks), block_gradients(look), strict=True)
        for name, norm in [*outside.items(), *by_block]:
            rows.setdefault(name, [None] * len(looks))[i] = norm
    known = [v for row in rows.values() for v in row if v]
    if not known:
        return None
    svg = _heat_map(
        _from_the_top(rows),
        [step for step, _ in looks],
        Shading(max(min(known), max(known) / 10**DECADES), max(known), logarithmic=True),
        lambda norm: f"gradient {norm:.3g}",
        "Norm of the gradient by layer (upwards) and step (to the right), "
        f"from {min(known):.2g} to {max(known):.2g}.",
    )
    about = "norm of the gradient of each layer's matrices, before clipping; first layers below"
    return Panel("Gradient flow", about, svg)


def _update_panel(looks: Sequence[Look]) -> Panel | None:
    groups: dict[str, list[tuple[float, float]]] = {}
    for step, look in looks:
        by_group: dict[str, list[float]] = {}
        for name, ratio in look.updates.items():
            if ratio is not None:
                by_group.setdefault(_group(name, look), []).append(ratio)
        for group, ratios in by_group.items():
            groups.setdefault(group, []).append((step, median(ratios)))
    lines = [
        Line(group, groups[group], tone) for tone, group in enumerate(_GROUPS) if group in groups
    ]
    svg = line_chart(
        lines,
        "training step",
        "Size of the updates against the weights, by kind of matrix: "
        + "; ".join(f"{line.name} {line.points[-1][1]:.2g} at the end" for line in lines)
        + ".",
        x_format=count,
        y_format="{:g}".format,
        logarithmic=True,
        bands=[Band("usual for AdamW", *UPDATE_BAND), Band("usual for Muon", *MUON_BAND)],
    )
    about = "‖Δw‖ / ‖w‖ of the steps taken, the median over matrices of a kind"
    return None if svg is None else Panel("Updates against weights", about, svg, keys(lines))


def _activation_panel(looks: Sequence[Look]) -> Panel | None:
    if not looks:
        return None
    (first_step, first), (last_step, last) = looks[0], looks[-1]
    kinds = (("residual stream", "residual", 0), ("attention adds", "attention", 1),
             ("feed-forward adds", "feed_forward", 2))  # fmt: skip
    lines = []
    for name, field, tone in kinds:
        offset = 0 if field == "residual" else 1
        lines.append(Line(name, _by_depth(getattr(last, field), offset), tone))
    if first_step != last_step:
        start = _by_depth(first.residual, 0)
        lines.append(Line(f"residual stream at step {first_step:,}", start, 0, dashed=True))
    svg = line_chart(
        lines,
        "blocks passed",
        f"Root mean square of the activations by depth at step {last_step:,}.",
        x_format=count,
        y_format="{:g}".format,
        logarithmic=True,
    )
    about = f"root mean square by depth, step {last_step:,}"
    return None if svg is None else Panel("Activations", about, svg, keys(lines))


def _silent_panel(looks: Sequence[Look]) -> Panel | None:
    looks = _columns(looks)
    if not any(share for _, look in looks for share in look.silent):
        return None
    rows: dict[str, list[float | None]] = {}
    for i, (_, look) in enumerate(looks):
        for block, share in zip(look.blocks, look.silent, strict=False):
            if share is not None:
                rows.setdefault(_short(block), [None] * len(looks))[i] = share
    svg = _heat_map(
        _from_the_top(rows),
        [step for step, _ in looks],
        Shading(0, 1),
        lambda share: f"{100 * share:.1f} % silent",
        "Share of silent feed-forward units by block (upwards) and step (to the right).",
    )
    about = "share of each feed-forward's hidden units that no token of the batch activates"
    return Panel("Silent units", about, svg)


# ---------------------------------------------------------------------------------- the heat map


@dataclass(frozen=True, slots=True)
class Shading:
    """From a value to one of ``_SHADES`` strengths of colour; zero is the background."""

    low: float
    high: float
    logarithmic: bool = False

    def __call__(self, value: float) -> int:
        if value <= 0:
            return 0
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 1.0
        return 1 + round((_SHADES - 1) * min(1.0, max(0.0, share)))


def _heat_map(
    rows: dict[str, list[float | None]],
    steps: Sequence[int],
    shading: Shading,
    words: Callable[[float], str],
    description: str,
) -> str:
    """A cell for each row and step, a scale of the shades below."""
    pitch = max(7.0, min(22.0, 230 / len(rows)))
    side = (_WIDTH - _NAMES - _RIGHT) / len(steps)
    height = pitch * len(rows)
    width = _WIDTH - _NAMES - _RIGHT
    parts = [element("rect", x=_NAMES, y=0, width=width, height=height, class_="ground")]
    every = math.ceil(12 / pitch)  # a label needs a line of its own
    for i, (name, values) in enumerate(rows.items()):
        if i % every == 0:
            at = pitch * (i + 0.5) + 4
            parts.append(label(_NAMES - 7, at, name, text_anchor="end"))
        for j, value in enumerate(values):
            if value is not None and (shade := shading(value)):
                title = element("title", f"{name}, step {steps[j]:,}: {words(value)}")
                parts.append(
                    element(
                        "rect",
                        title,
                        x=_NAMES + side * j,
                        y=pitch * i,
                        width=side,
                        height=pitch,
                        class_="cell",
                        fill_opacity=shade / _SHADES,
                    )
                )
    ends = [0] if len(steps) == 1 else [0, len(steps) // 2, len(steps) - 1]
    for j in dict.fromkeys(ends):
        at = _NAMES + side * (j + 0.5)
        anchor = "end" if j and j == len(steps) - 1 else "middle"
        at = _WIDTH - _RIGHT if anchor == "end" else at
        parts.append(label(at, height + 17, count(steps[j]), text_anchor=anchor))
    middle = (_NAMES + _WIDTH - _RIGHT) / 2
    parts.append(label(middle, height + 35, "training step", text_anchor="middle", class_="title"))
    parts.append(_scale_of_shades(shading, height + 50))
    return picture(_WIDTH, height + 64, "".join(parts), description)


def _scale_of_shades(shading: Shading, top: float) -> str:
    """The shades from weak to strong, with the values at the ends."""
    side = 13
    start = (_NAMES + _WIDTH - _RIGHT - side * _SHADES) / 2
    cells = "".join(
        element("rect", x=start + side * i, y=top, width=side, height=11, class_="cell",
                fill_opacity=(i + 1) / _SHADES)
        for i in range(_SHADES)
    )  # fmt: skip
    low, high = (
        (f"{shading.low:.2g}", f"{shading.high:.2g}") if shading.logarithmic else ("0 %", "100 %")
    )
    return (
        label(start - 7, top + 10, low, text_anchor="end")
        + cells
        + label(start + side * _SHADES + 7, top + 10, high)
    )


# ------------------------------------------------------------------------------------- names


_GROUPS = ("attention", "feed-forward", "embedding", "output layer", "others")


def _block(name: str, look: Inspection) -> str | None:
    """The block that a parameter belongs to."""
    return next((block for block in look.blocks if name.startswith(f"{block}.")), None)


def _group(name: str, look: Inspection) -> str:
    block = _block(name, look)
    if block is not None:
        part = name.removeprefix(f"{block}.").partition(".")[0]
        return {"attention": "attention", "feed_forward": "feed-forward"}.get(part, "others")
    place = _place(name)
    return place if place in _GROUPS else "others"


def _place(name: str) -> str:
    """The name in charts of a matrix outside the blocks."""
    if "unembed" in name:
        return "output layer"
    return "embedding" if "embed" in name else name.removesuffix(".weight")[-11:]


def _short(block: str) -> str:
    """``blocks.3`` and a trunk's ``trunk.blocks.3`` are block 3, ``judge.0`` is judge 0."""
    kind, _, number = block.rpartition(".")
    return f"{kind.rpartition('.')[2].removesuffix('s')[:8]} {number}"


def _from_the_top(rows: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Rows with the output at the top, then the blocks, and the embedding at the bottom."""

    def height(name: str) -> int:
        return 0 if name == "embedding" else 1 if name.startswith(("block ", "judge ")) else 2

    order = [name for name, values in rows.items() if any(v is not None for v in values)]
    return {n: rows[n] for n in sorted(order, key=lambda n: (-height(n), -order.index(n)))}


def _columns(looks: Sequence[Look]) -> list[Look]:
    if len(looks) <= MAX_COLUMNS:
        return list(looks)
    last = len(looks) - 1
    return [looks[round(i * last / (MAX_COLUMNS - 1))] for i in range(MAX_COLUMNS)]


def _by_depth(values: Sequence[float | None], offset: int) -> list[tuple[float, float]]:
    return [(i + offset, value) for i, value in enumerate(values) if value is not None]
