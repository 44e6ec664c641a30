"""Problems inside the layers: vanishing or exploding gradients, large activations, dead units.

Each judgement is a pure function; its thresholds stand above it, each with its reason.
"""

from __future__ import annotations

import math
from statistics import median

from glassmind.evaluate.diagnosis.judgement import Diagnosis, named_blocks, share_of
from glassmind.evaluate.diagnosis.stage_figures import (
    StageFigures,
    block_gradients,
    later_half,
    span,
)
from glassmind.evaluate.run_files import Inspection

DEPTH_RATIO = 100.0
"""First and last quarter of the blocks differ by this in their gradients (measured: below 15)."""

GRADIENT_HIGH = 100.0
"""A typical gradient norm of this size is clipped to a hundredth or less at the usual clip of 1.
Measured: 0.2 to 2 once under way, about 20 at the very first step, which is not counted."""

RESIDUAL_HIGH = 1e3
"""RMS of the residual stream (measured: 2 to 15). bfloat16 holds 8 bits: beyond 1,000 its
numbers are 4 apart, and what a block adds is rounded away."""

SILENT_HIGH = 0.25
"""A quarter of a feed-forward's units are never active (measured: below 5 %)."""


def exploding(run: StageFigures) -> Diagnosis | None:
    """Gradients that are large as such, or much larger in the first blocks than in the last."""
    later = later_half(run.looks)
    norms = [(s, n) for s, look in later if (n := _total(look)) is not None]
    if norms and median(n for _, n in norms) > GRADIENT_HIGH:
        seen = f"The typical gradient norm is {median(n for _, n in norms):.3g}."
        blocks: tuple[str, ...] = ()
    else:
        ratio, ends = _depth_ratio(later)
        if ratio is None or ratio < DEPTH_RATIO:
            return None
        first, last = map(named_blocks, ends)
        seen = f"Gradients of {first} are {ratio:,.0f} times those of {last}."
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
        span(later),
    )


def vanishing(run: StageFigures) -> Diagnosis | None:
    """Gradients that are much smaller in the first blocks than in the last."""
    later = later_half(run.looks)
    ratio, ends = _depth_ratio(later)
    if ratio is None or ratio > 1 / DEPTH_RATIO:
        return None
    first, last = map(named_blocks, ends)
    return Diagnosis(
        "vanishing gradients",
        f"Gradients of {first} are {1 / max(ratio, 1e-30):,.0f} times smaller than those of "
        f"{last}.",
        "The signal from the loss hardly reaches the first layers: they stay at their random "
        "initialisation, or follow rounding noise, and the depth is wasted.",
        'Normalise before each branch (model.norm_placement = "before"), so that the residual '
        "stream carries the gradient past every block unchanged; use fewer layers; lengthen "
        "train.warmup.",
        ends[0],
        span(later),
    )


def large_activations(run: StageFigures) -> Diagnosis | None:
    """A residual stream that grows until what a block adds to it is rounded away."""
    later = later_half(run.looks)
    worst = [(s, x, i) for s, look in later for i, x in enumerate(look.residual) if x is not None]
    step, size, place = max(worst, key=lambda entry: entry[1], default=(0, 0.0, 0))
    if size < RESIDUAL_HIGH:
        return None
    first = min(s for s, x, _ in worst if x >= RESIDUAL_HIGH)
    where = (later[0][1].blocks[place - 1],) if place else ()
    return Diagnosis(
        "activations out of hand",
        f"The residual stream reaches an RMS of {size:.2g} "
        f"{f'after {named_blocks(where)}' if where else 'at the embedding'} (step {step:,}).",
        "What a branch adds is lost to rounding: in bfloat16, numbers of this size are several "
        "units apart.",
        "Lower the learning rates; give the model a little train.weight_decay; normalise the "
        'branches\' outputs as well (model.norm_placement = "around").',
        where,
        (first, step),
    )


def dead(run: StageFigures) -> Diagnosis | None:
    """Hidden units that no token activates."""
    later = later_half(run.looks)
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
        f"In {named_blocks(tuple(shares))} many hidden units of the feed-forward are active for no "
        f"token of a batch ({named_blocks((worst,))}: {share_of(shares[worst])} of them).",
        "A unit that is never active gets no gradient through its activation, so it stays "
        "inactive: its weights cost memory and time and contribute nothing.",
        "Lower the learning rates (one overlong step can push a unit out of reach); look for a "
        "large negative bias; or choose an activation with a slope everywhere "
        '(model.feed_forward.kind = "gelu" or "swiglu").',
        tuple(shares),
        span(later),
    )


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
