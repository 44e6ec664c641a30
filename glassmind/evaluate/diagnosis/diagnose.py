"""Diagnoses problems of a training run from the figures that it recorded.

    losses, validation losses        -> diverging, not falling, spikes, overfitting
    gradients by block               -> vanishing, exploding
    updates (‖Δw‖ / ‖w‖)             -> a learning rate too high or too low
    activations                      -> a residual stream that grows out of hand, dead units
    log-probabilities of answers     -> preferences under which chosen answers fall, too

Every judgement (``loss_judgements``, ``layer_judgements``) is a pure function of the figures that
``stage_figures`` prepares; its thresholds are defined above it, each with its reason. *Measured*
means: on small healthy models of this package (4 to 12 layers, the default recipe). A diagnosis is
advice: it says what was seen and where, so that a reader can disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.evaluate.diagnosis.judgement import Diagnosis
from glassmind.evaluate.diagnosis.layer_judgements import (
    dead,
    exploding,
    large_activations,
    vanishing,
)
from glassmind.evaluate.diagnosis.loss_judgements import (
    flat,
    overfitting,
    spikes,
    too_high,
    too_low,
)
from glassmind.evaluate.diagnosis.preference_judgements import chosen_answers_fall
from glassmind.evaluate.diagnosis.stage_figures import (
    FEWEST_ROWS,
    StageFigures,
    fall,
    stage_figures,
)
from glassmind.evaluate.run_files import Metric
from glassmind.quantity import quantity

_JUDGES: tuple[Callable[[StageFigures], Diagnosis | None], ...] = (
    too_high,
    exploding,
    vanishing,
    large_activations,
    dead,
    overfitting,
    chosen_answers_fall,
    too_low,
    flat,
    spikes,
)
"""The most serious first."""


def diagnose(metrics: Sequence[Metric], stage: str) -> list[Diagnosis]:
    """Everything that is wrong with a stage, the most serious first, or that it looks healthy.

    Empty if the stage has no losses at all.
    """
    run = stage_figures(metrics, stage)
    if not run.losses and run.lost is None:
        return []
    found = [judgement for judge in _JUDGES if (judgement := judge(run)) is not None]
    if found:
        return found
    if len(run.losses) < FEWEST_ROWS:
        seen = f"The run logged {quantity(len(run.losses), 'row')} of losses."
        means = f"Below {FEWEST_ROWS} a curve has no shape that could be judged."
        return [Diagnosis("too short", seen, means, "Train longer, or lower train.log_every.")]
    return [_healthy(run)]


def _healthy(run: StageFigures) -> Diagnosis:
    means = "The curve has the shape it should have."
    if run.looks:
        seen = f"{fall(run)}; gradients, updates and activations stay within their usual bounds."
        advice = ""
    else:
        seen = f"{fall(run)}."
        means += " What happens inside the layers was not recorded."
        advice = "train.inspect_every = 50, say, records gradients, updates and activations."
    return Diagnosis("healthy", seen, means, advice)
