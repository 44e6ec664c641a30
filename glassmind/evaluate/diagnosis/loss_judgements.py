"""What a loss curve shows: a learning rate too high or too low, nothing learned, overfitting.

Each judgement is a pure function; its thresholds stand above it, each with its reason.
"""

from __future__ import annotations

import math
from statistics import median

from glassmind.evaluate.diagnosis.judgement import Diagnosis, sentence_of, share_of, times
from glassmind.evaluate.diagnosis.stage_figures import (
    FEWEST_ROWS,
    StageFigures,
    above,
    fall,
    fell_less,
    noise_of,
    span,
    typical_update,
)

FAR = 2.0
"""A loss that doubled has risen, however few its rows."""

STILL = 0.02
"""A loss that fell by less than this share has not fallen: batches differ by as much."""

SPIKE_SHARE, SPIKE_DEVIATIONS, SPIKE_WINDOW = 0.2, 6, 10
"""A spike stands 20 % and 6 standard deviations of a row above the median of the 10 before."""

OVERFIT = 0.02
"""Validation rose and training fell by this share each since the best validation. The validation
set is the same at every check, so its loss is much less noisy than a batch's."""

UPDATE_BAND = (3e-4, 3e-3)
"""Where ‖Δw‖/‖w‖ of AdamW usually lies: around 1e-3 (Karpathy, "Building makemore, part 3")."""

UPDATE_HIGH = 0.1
"""Each step replaces a tenth of the typical matrix. Muon's steps are larger than the band by
design: measured at 0.9 × its learning rate early on, so 0.018 for 0.02, a fifth of this."""

UPDATE_LOW, LITTLE = 1e-4, 0.1
"""The largest update is a tenth of the usual 1e-3, and the loss fell by less than a tenth. (Such
steps change mainly the embedding, whose numbers are small.)"""


def too_high(run: StageFigures) -> Diagnosis | None:
    """The learning rate, by what the loss does and by how far the weights move."""
    signs: list[str] = []
    steps: list[int] = []
    if run.lost is not None:
        signs.append(f"the loss stopped being a number at step {run.lost:,}")
        steps.append(run.lost)
    if len(run.losses) >= FEWEST_ROWS:
        lowest = min(range(len(run.smooth)), key=run.smooth.__getitem__)
        peak = max(range(1, len(run.smooth)), key=run.smooth.__getitem__)
        if run.smooth[peak] > above(run.smooth[0], run):
            signs.append(
                f"the loss climbed from {run.smooth[0]:.3g} to {run.smooth[peak]:.3g} at step "
                f"{run.losses[peak][0]:,}"
            )
            steps.append(run.losses[peak][0])
        if run.smooth[-1] > above(run.smooth[lowest], run):
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
        signs.append(f"step {step:,} changed the typical matrix by {share_of(ratio)} of its size")
        steps.append(step)
    if not signs:
        return None
    return Diagnosis(
        "learning rate too high",
        sentence_of(signs),
        "Steps are so long that they overshoot the range in which the gradient is valid, and "
        "growing weights destroy what was learned. Usual updates are about 0.1 % of a matrix with "
        "AdamW, 1 to 2 % with Muon.",
        "Lower train.muon_lr and train.adamw_lr, to a third first and then to a tenth; lengthen "
        "train.warmup if the trouble begins in the first steps.",
        steps=(min(steps), max(steps)),
    )


def overfitting(run: StageFigures) -> Diagnosis | None:
    """The validation loss rises while the training loss falls."""
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
        "The model memorises its training data, and gets worse on other data.",
        f"Stop near step {best_step:,}, give it more data, make it smaller, or raise "
        "train.weight_decay.",
        steps=(best_step, last_step),
    )


def too_low(run: StageFigures) -> Diagnosis | None:
    """The loss hardly falls, and the weights hardly move."""
    if not fell_less(run, LITTLE):
        return None
    moved = [(s, u) for s, look in run.looks if s > 1 and (u := typical_update(look)) is not None]
    _, ratio = max(moved, key=lambda pair: pair[1], default=(0, math.inf))
    if ratio > UPDATE_LOW:
        return None
    return Diagnosis(
        "learning rate too low",
        f"{fall(run)}, and no step changed the typical matrix by more than {share_of(ratio)} of "
        "its size.",
        "The steps are too short to get anywhere. Usual updates are about 0.1 % of a matrix with "
        "AdamW, 1 to 2 % with Muon.",
        "Raise train.muon_lr and train.adamw_lr tenfold; the defaults are 0.02 and 0.003.",
        steps=span(run.looks),
    )


def flat(run: StageFigures) -> Diagnosis | None:
    """The loss does not fall, whatever the reason."""
    if not fell_less(run, STILL) or too_low(run) is not None:
        return None
    return Diagnosis(
        "loss not falling",
        f"{fall(run)}.",
        "Nothing was learned. Either the steps do not help, or the data contain nothing that this "
        "model can learn.",
        "Look at the data first (glassmind data), then try learning rates a third and three times "
        "as large; train.inspect_every records what happens inside.",
        steps=(run.losses[0][0], run.losses[-1][0]),
    )


def spikes(run: StageFigures) -> Diagnosis | None:
    """Single losses far above their neighbours, or spikes that the trainer's guard recorded."""
    found: list[tuple[int, float, float]] = []
    values = [value for _, value in run.losses]
    deviation = noise_of(values)
    for i in range(SPIKE_WINDOW, len(values)):
        usual = median(values[i - SPIKE_WINDOW : i])
        bar = usual + max(SPIKE_DEVIATIONS * deviation, SPIKE_SHARE * abs(usual))
        after = values[i + 1 : i + 1 + SPIKE_WINDOW]
        if values[i] > bar and after and median(after) <= bar:  # else it is not a spike
            found.append((run.losses[i][0], values[i], usual))
    if not found and not run.troubles:
        return None
    seen, steps = [], []
    if run.troubles:
        step, sentence = run.troubles[0]
        seen.append(f"the trainer's guard noted {times(run.troubles)}, first at step {step:,}: "
                    f"{sentence}")  # fmt: skip
        steps += [s for s, _ in run.troubles]
    if found:
        step, height, usual = max(found, key=lambda spike: spike[1] - spike[2])
        seen.append(f"the logged loss jumped {times(found)}, most at step {step:,}: from about "
                    f"{usual:.3g} to {height:.3g}")  # fmt: skip
        steps += [s for s, _, _ in found]
    return Diagnosis(
        "loss spikes",
        sentence_of(seen),
        "A step went wrong: a strange batch, or a learning rate at the edge of what this model "
        "bears.",
        "Look at the batch of that step; if it is like any other, lower the learning rates or "
        "train.clip, or let train.on_spike skip it.",
        steps=(min(steps), max(steps)),
    )
