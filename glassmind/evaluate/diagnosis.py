"""What ails a training run, said in plain language from the figures it recorded.

    losses, validation losses        -> diverging, not falling, spikes, overfitting
    gradients by block               -> vanishing, exploding
    updates (‖Δw‖ / ‖w‖)             -> a learning rate too high or too low
    activations                      -> a residual stream that grows out of hand, dead units

Every judgement is a pure function with its thresholds beside it, each with its reason; where a
threshold says *measured*, that is on small healthy models of this package (4 to 12 layers, the
default recipe), and the margin is stated. A diagnosis is advice: it names what was seen and where,
so that a reader can disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from glassmind.evaluate.run_files import Inspection, Metric

SMOOTH = 5
"""Losses are averaged over so many rows, or over a tenth of the run where that is more, before
they are compared: one lucky batch is no trend."""

FEWEST_ROWS = 10
"""Below so many rows of losses a run is too short for its curve to be judged."""

FAR = 2.0
"""A loss that doubled has risen, however few its rows."""

STILL = 0.02
"""A loss that fell by less than this share has not fallen: batches alone differ by as much."""

RISE, CERTAIN = 0.05, 4
"""A loss has risen, not wavered, when its mean lies this share, and this many standard errors,
above its lowest (or its first) value. Four, because the lowest is the best of many."""

SPIKE_SHARE, SPIKE_DEVIATIONS, SPIKE_WINDOW = 0.2, 6, 10
"""A spike stands 20 % and 6 standard deviations of a row above the median of the 10 before."""

OVERFIT = 0.02
"""Validation rose and training fell by this share each since the best validation. The set is
the same at every check, so that its wavering is much smaller than a batch's."""

UPDATE_BAND = (3e-4, 3e-3)
"""Where ‖Δw‖/‖w‖ of AdamW usually lies: around 1e-3 (Karpathy, "Building makemore, part 3")."""

UPDATE_HIGH = 0.1
"""Each step replaces a tenth of the typical matrix. Muon's steps are larger than the band by
design: measured at 0.9 × its learning rate early on, so 0.018 for 0.02, a fifth of this."""

UPDATE_LOW, LITTLE = 1e-4, 0.1
"""Even at the fastest moment a tenth of the usual 1e-3, and the loss fell by less than a tenth:
what such steps do achieve is done by the embedding, whose small numbers move first."""

DEPTH_RATIO = 100.0
"""First and last quarter of the blocks differ by this in their gradients (measured: below 15)."""

GRADIENT_HIGH = 100.0
"""A typical gradient norm of this size is clipped to a hundredth or less at the usual clip of 1.
Measured: 0.2 to 2 once under way, about 20 at the very first step, which is not counted."""

RESIDUAL_HIGH = 1e3
"""RMS of the residual stream (measured: 2 to 15). bfloat16 holds 8 bits: beyond 1,000 its
numbers are 4 apart, and what a block adds is rounded away."""

SILENT_HIGH = 0.25
"""A quarter of a feed-forward's units never wake (measured: below 5 %)."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing to know: what was ``seen`` and where, what it ``means``, what to ``try_`` (or "").

    ``kind`` is a fixed word (``healthy`` and ``too short`` among them); ``blocks`` and ``steps``
    (first and last) say where, as far as it is somewhere in particular.
    """

    kind: str
    seen: str
    means: str
    try_: str
    blocks: tuple[str, ...] = ()
    steps: tuple[int, int] | None = None

    @property
    def well(self) -> bool:
        """Whether there is nothing to mend."""
        return self.kind in ("healthy", "too short")


@dataclass(frozen=True, slots=True)
class _Run:
    """One stage's figures, sorted out."""

    losses: list[tuple[int, float]]
    smooth: list[float]
    noise: float  # standard error of the difference of two smoothed losses
    checks: list[tuple[int, float]]
    looks: list[tuple[int, Inspection]]
    troubles: list[tuple[int, str]]  # what the trainer's guard noted
    lost: int | None  # the step at which the loss was not a number


def diagnose(metrics: Sequence[Metric], stage: str) -> list[Diagnosis]:
    """Everything that is wrong with a stage, the gravest first; else that it looks healthy.

    Empty where the stage has no losses at all.
    """
    rows = [m for m in metrics if m.stage == stage]
    losses = [(m.step, m.loss) for m in rows if m.loss is not None]
    # A row of a step, with its learning rate, but without a loss: the loss was not a number.
    lost = next((m.step for m in rows if m.loss is None and m.lr is not None), None)
    values = [value for _, value in losses]
    window = max(SMOOTH, len(values) // 10)
    run = _Run(
        losses,
        smoothed(values, window),
        _noise(values) * math.sqrt(2 / window),
        [(m.step, m.validation_loss) for m in rows if m.validation_loss is not None],
        [(m.step, m.inspection) for m in rows if m.inspection is not None],
        [(m.step, m.trouble) for m in rows if m.trouble is not None],
        lost,
    )
    if not losses and run.lost is None:
        return []
    found = [judgement for judge in _JUDGES if (judgement := judge(run)) is not None]
    if found:
        return found
    if len(losses) < FEWEST_ROWS:
        seen = f"The run logged {len(losses)} rows of losses."
        means = f"Below {FEWEST_ROWS} a curve has no shape that could be judged."
        return [Diagnosis("too short", seen, means, "Train longer, or lower train.log_every.")]
    return [_healthy(run)]


def smoothed(values: Sequence[float], window: int = SMOOTH) -> list[float]:
    """The mean of each value and up to ``window`` - 1 before it."""
    return [fmean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]


def block_gradients(look: Inspection) -> list[float | None]:
    """The gradient norm of each block, over all its matrices; ``None`` where it has none."""
    norms: list[float | None] = []
    for block in look.blocks:
        mine = [g for name, g in look.gradients.items() if name.startswith(f"{block}.")]
        known = [g for g in mine if g is not None]
        norms.append(math.hypot(*known) if known else None)
    return norms


def typical_update(look: Inspection) -> float | None:
    """The median update-to-weight ratio of all matrices that were not zero before the step."""
    known = [ratio for ratio in look.updates.values() if ratio is not None]
    return median(known) if known else None


# ------------------------------------------------------------------- judgements, the gravest first


def _too_high(run: _Run) -> Diagnosis | None:
    """The learning rate, by what the loss does and by how far the weights move."""
    signs: list[str] = []
    steps: list[int] = []
    if run.lost is not None:
        signs.append(f"the loss stopped being a number at step {run.lost:,}")
        steps.append(run.lost)
    if len(run.losses) >= FEWEST_ROWS:
        lowest = min(range(len(run.smooth)), key=run.smooth.__getitem__)
        peak = max(range(1, len(run.smooth)), key=run.smooth.__getitem__)
        if run.smooth[peak] > _above(run.smooth[0], run):
            signs.append(
                f"the loss climbed from {run.smooth[0]:.3g} to {run.smooth[peak]:.3g} at step "
                f"{run.losses[peak][0]:,}"
            )
            steps.append(run.losses[peak][0])
        if run.smooth[-1] > _above(run.smooth[lowest], run):
            signs.append(
                f"the loss ended at {run.smooth[-1]:.3g}, after {run.smooth[lowest]:.3g} at step "
                f"{run.losses[lowest][0]:,}"
            )
            steps.append(run.losses[-1][0])
    elif len(run.losses) > 1 and run.losses[-1][1] > FAR * run.losses[0][1]:
        first, last = run.losses[0], run.losses[-1]
        signs.append(f"the loss went from {first[1]:.3g} to {last[1]:.3g} in {last[0]:,} steps")
        steps.append(last[0])
    # The weights of the first step may be zero, and any step from there is infinitely large.
    moved = [(s, u) for s, look in run.looks if s > 1 and (u := typical_update(look)) is not None]
    step, ratio = max(moved, key=lambda pair: pair[1], default=(0, 0.0))
    if ratio > UPDATE_HIGH:
        signs.append(f"step {step:,} changed the typical matrix by {_share(ratio)} of its size")
        steps.append(step)
    if not signs:
        return None
    return Diagnosis(
        "learning rate too high",
        _sentence(signs),
        "Steps are so long that they overshoot what the gradient can see, and the weights grow "
        "until they drown what was learned. Usual updates are about 0.1 % of a matrix with AdamW, "
        "1 to 2 % with Muon.",
        "Lower train.muon_lr and train.adamw_lr, to a third first and then to a tenth; lengthen "
        "train.warmup if the trouble begins in the first steps.",
        steps=(min(steps), max(steps)),
    )


def _exploding(run: _Run) -> Diagnosis | None:
    later = _later(run.looks)
    norms = [(s, n) for s, look in later if (n := _total(look)) is not None]
    if norms and median(n for _, n in norms) > GRADIENT_HIGH:
        seen = f"The typical gradient norm is {median(n for _, n in norms):.3g}."
        blocks: tuple[str, ...] = ()
    else:
        ratio, ends = _depth_ratio(later)
        if ratio is None or ratio < DEPTH_RATIO:
            return None
        seen = f"Gradients of {_named(ends[0])} are {ratio:,.0f} times those of {_named(ends[1])}."
        blocks = ends[0]
    return Diagnosis(
        "exploding gradients",
        seen,
        "On its way back through the layers the gradient is multiplied by more than it should be, "
        "again and again. Clipping keeps the steps short, but their direction is then that of a "
        "few numbers.",
        "Look at the initialisation (1/√fan_in and zero for the last matrix of each branch are the "
        'defaults here) and at model.norm_placement ("before" or "around"); lower the learning '
        "rates if the gradients grew during training.",
        blocks,
        _span(later),
    )


def _vanishing(run: _Run) -> Diagnosis | None:
    later = _later(run.looks)
    ratio, ends = _depth_ratio(later)
    if ratio is None or ratio > 1 / DEPTH_RATIO:
        return None
    return Diagnosis(
        "vanishing gradients",
        f"Gradients of {_named(ends[0])} are {1 / max(ratio, 1e-30):,.0f} times smaller than those "
        f"of {_named(ends[1])}.",
        "What the loss has to say hardly reaches the first layers: they stay what chance made "
        "them, or follow rounding noise, and the depth is wasted.",
        'Normalise before each branch (model.norm_placement = "before"), so that the residual '
        "stream carries the gradient past every block unchanged; use fewer layers; lengthen "
        "train.warmup.",
        ends[0],
        _span(later),
    )


def _large_activations(run: _Run) -> Diagnosis | None:
    later = _later(run.looks)
    worst = [(s, x, i) for s, look in later for i, x in enumerate(look.residual) if x is not None]
    step, size, place = max(worst, key=lambda entry: entry[1], default=(0, 0.0, 0))
    if size < RESIDUAL_HIGH:
        return None
    first = min(s for s, x, _ in worst if x >= RESIDUAL_HIGH)
    where = (later[0][1].blocks[place - 1],) if place else ()
    return Diagnosis(
        "activations out of hand",
        f"The residual stream reaches an RMS of {size:.2g} "
        f"{f'after {_named(where)}' if where else 'at the embedding'} (step {step:,}).",
        "Branches that each add a little can no longer be heard: in bfloat16, numbers of this size "
        "are several units apart.",
        "Lower the learning rates; give the model a little train.weight_decay; normalise the "
        'branches\' outputs as well (model.norm_placement = "around").',
        where,
        (first, step),
    )


def _dead(run: _Run) -> Diagnosis | None:
    later = _later(run.looks)
    shares: dict[str, float] = {}
    for i, block in enumerate(later[0][1].blocks if later else ()):
        known = [
            share
            for _, look in later
            if i < len(look.silent) and (share := look.silent[i]) is not None
        ]
        if known and median(known) >= SILENT_HIGH:
            shares[block] = median(known)
    if not shares:
        return None
    worst = max(shares, key=shares.__getitem__)
    return Diagnosis(
        "dead units",
        f"In {_named(tuple(shares))} many hidden units of the feed-forward answer to no token of a "
        f"batch ({_named((worst,))}: {_share(shares[worst])} of them).",
        "A unit that never wakes gets no gradient through its activation, so it stays asleep: its "
        "weights are paid for and add nothing.",
        "Lower the learning rates (one overlong step can push a unit out of reach); look for a "
        "large negative bias; or choose an activation with a slope everywhere "
        '(model.feed_forward.kind = "gelu" or "swiglu").',
        tuple(shares),
        _span(later),
    )


def _overfitting(run: _Run) -> Diagnosis | None:
    if len(run.checks) < 2 or len(run.losses) < 2:
        return None
    best_step, best = min(run.checks, key=lambda check: check[1])
    last_step, last = run.checks[-1]
    then = [value for (step, _), value in zip(run.losses, run.smooth, strict=True)
            if step <= best_step]  # fmt: skip
    if last_step <= best_step or not then:
        return None
    fell = run.smooth[-1] < then[-1] - OVERFIT * abs(then[-1])
    if not (fell and last > best + OVERFIT * abs(best)):
        return None
    return Diagnosis(
        "overfitting",
        f"Since step {best_step:,} the validation loss rose from {best:.3g} to {last:.3g}, while "
        f"the training loss fell from {then[-1]:.3g} to {run.smooth[-1]:.3g}.",
        "The model learns its training data by heart, and what it adds there it loses elsewhere.",
        f"Stop near step {best_step:,}, give it more data, make it smaller, or raise "
        "train.weight_decay.",
        steps=(best_step, last_step),
    )


def _too_low(run: _Run) -> Diagnosis | None:
    if not _fell_less(run, LITTLE):
        return None
    moved = [(s, u) for s, look in run.looks if s > 1 and (u := typical_update(look)) is not None]
    _, ratio = max(moved, key=lambda pair: pair[1], default=(0, math.inf))
    if ratio > UPDATE_LOW:
        return None
    return Diagnosis(
        "learning rate too low",
        f"{_fall(run)}, and no step changed the typical matrix by more than {_share(ratio)} of its "
        "size.",
        "The steps are too short to get anywhere. Usual updates are about 0.1 % of a matrix with "
        "AdamW, 1 to 2 % with Muon.",
        "Raise train.muon_lr and train.adamw_lr tenfold; the defaults are 0.02 and 0.003.",
        steps=_span(run.looks),
    )


def _flat(run: _Run) -> Diagnosis | None:
    if not _fell_less(run, STILL) or _too_low(run) is not None:
        return None
    return Diagnosis(
        "loss not falling",
        f"{_fall(run)}.",
        "Nothing was learned. Either the steps do not help, or there is nothing in the data that "
        "this model could learn.",
        "Look at the data first (glassmind data), then try learning rates a third and three times "
        "as large; train.inspect_every records what happens inside.",
        steps=(run.losses[0][0], run.losses[-1][0]),
    )


def _spikes(run: _Run) -> Diagnosis | None:
    found: list[tuple[int, float, float]] = []
    values = [value for _, value in run.losses]
    deviation = _noise(values)
    for i in range(SPIKE_WINDOW, len(values)):
        usual = median(values[i - SPIKE_WINDOW : i])
        bar = usual + max(SPIKE_DEVIATIONS * deviation, SPIKE_SHARE * abs(usual))
        after = values[i + 1 : i + 1 + SPIKE_WINDOW]
        if values[i] > bar and after and median(after) <= bar:  # what stays up is no spike
            found.append((run.losses[i][0], values[i], usual))
    if not found and not run.troubles:
        return None
    seen, steps = [], []
    if run.troubles:
        step, sentence = run.troubles[0]
        seen.append(f"the trainer's guard noted {_times(run.troubles)}, first at step {step:,}: "
                    f"{sentence}")  # fmt: skip
        steps += [s for s, _ in run.troubles]
    if found:
        step, height, usual = max(found, key=lambda spike: spike[1] - spike[2])
        seen.append(f"the logged loss jumped {_times(found)}, most at step {step:,}: from about "
                    f"{usual:.3g} to {height:.3g}")  # fmt: skip
        steps += [s for s, _, _ in found]
    return Diagnosis(
        "loss spikes",
        _sentence(seen),
        "A step went wrong: a strange batch, or a learning rate at the edge of what this model "
        "bears.",
        "Look at the batch of that step; if it is like any other, lower the learning rates or "
        "train.clip, or let train.on_spike skip it.",
        steps=(min(steps), max(steps)),
    )


_JUDGES: tuple[Callable[[_Run], Diagnosis | None], ...] = (
    _too_high,
    _exploding,
    _vanishing,
    _large_activations,
    _dead,
    _overfitting,
    _too_low,
    _flat,
    _spikes,
)


def _healthy(run: _Run) -> Diagnosis:
    means = "The curve has the shape it should have."
    if run.looks:
        seen = f"{_fall(run)}; gradients, updates and activations stay within their usual bounds."
        advice = ""
    else:
        seen = f"{_fall(run)}."
        means += " What happens inside the layers was not recorded."
        advice = "train.inspect_every = 50, say, records gradients, updates and activations."
    return Diagnosis("healthy", seen, means, advice)


# ----------------------------------------------------------------------------- reading and wording


def _later(looks: list[tuple[int, Inspection]]) -> list[tuple[int, Inspection]]:
    """The second half of what was looked at: what a run is like once it is under way."""
    return looks[len(looks) // 2 :]


def _total(look: Inspection) -> float | None:
    known = [g for g in look.gradients.values() if g is not None]
    return math.hypot(*known) if known else None


def _depth_ratio(
    looks: list[tuple[int, Inspection]],
) -> tuple[float | None, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Median gradient of the first quarter of the trained blocks over that of the last quarter."""
    ratios: list[float] = []
    ends: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    for _, look in looks:
        pairs = zip(look.blocks, block_gradients(look), strict=True)
        trained = [(name, norm) for name, norm in pairs if norm is not None]
        if len(trained) < 2:
            continue
        size = max(1, len(trained) // 4)
        first, last = trained[:size], trained[-size:]
        ends = (tuple(name for name, _ in first), tuple(name for name, _ in last))
        at_last = median(norm for _, norm in last)
        if at_last > 0:
            ratios.append(median(norm for _, norm in first) / at_last)
    return (median(ratios) if ratios else None), ends


def _fell_less(run: _Run, share: float) -> bool:
    if len(run.losses) < FEWEST_ROWS:
        return False
    first = fmean(value for _, value in run.losses[:SMOOTH])
    return run.smooth[-1] > first - share * abs(first)


def _fall(run: _Run) -> str:
    first = fmean(value for _, value in run.losses[:SMOOTH])
    return f"The loss went from {first:.3g} to {run.smooth[-1]:.3g}"


def _above(loss: float, run: _Run) -> float:
    return loss + max(RISE * abs(loss), CERTAIN * run.noise)


def _noise(values: Sequence[float]) -> float:
    """Standard deviation of one row around the curve, from the steps between neighbours.

    By their median, so that neither the fall of the curve nor a spike counts as noise.
    """
    steps = [abs(b - a) for a, b in pairwise(values)]
    return 1.4826 * median(steps) / math.sqrt(2) if steps else 0.0


def _span(looks: list[tuple[int, Inspection]]) -> tuple[int, int] | None:
    return (looks[0][0], looks[-1][0]) if looks else None


def _named(blocks: Sequence[str]) -> str:
    """``block 3``, ``blocks 0 to 5 and 7``; the numbers are those in the parameters' names."""
    runs: list[list[str]] = []
    for name in (block.rpartition(".")[2] for block in blocks):
        follows = runs and name.isdecimal() and runs[-1][-1].isdecimal()
        if follows and int(name) == int(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    parts = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"block{'' if len(blocks) == 1 else 's'} {listed}"


def _times(events: Sequence[object]) -> str:
    return "once" if len(events) == 1 else f"{len(events)} times"


def _share(ratio: float) -> str:
    return f"{100 * ratio:.2g} %" if ratio < 1 else f"{100 * ratio:,.0f} %"


def _sentence(signs: Sequence[str]) -> str:
    text = "; ".join(signs)
    return text[0].upper() + text[1:] + "."
