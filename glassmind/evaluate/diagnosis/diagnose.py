"""Diagnoses problems of a training run from the figures that it recorded.

    losses, validation losses        -> diverging, not falling, spikes, overfitting
    gradients by block               -> vanishing, exploding
    updates (‖Δw‖ / ‖w‖)             -> a learning rate too high or too low
    activations                      -> a residual stream that grows out of hand, dead units
    rewards, lengths, entropy, ratios -> what goes wrong in learning from reward
    log-probabilities of answers     -> preferences under which chosen answers fall, too

Every judgement (``loss_judgements``, ``layer_judgements``, ``policy_judgements``) is a pure
function of the figures that ``stage_figures`` or ``policy_run`` prepares; its thresholds are
defined above it, each with its reason. *Measured* means: on small healthy models of this package (4
to 12 layers, the default recipe). A diagnosis is advice: it says what was seen and where, so that a
reader can disagree.
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
from glassmind.evaluate.diagnosis.policy_judgements import (
    divergence_grows,
    entropy_collapse,
    getting_worse,
    group_of_one,
    length_hacking,
    mismatch,
    no_signal,
    policy_lost,
    reward_hacking,
    stale_samples,
    unbounded_ratios,
)
from glassmind.evaluate.diagnosis.policy_run import FEWEST_SETS, PolicyRun, policy_run
from glassmind.evaluate.diagnosis.preference_judgements import chosen_answers_fall
from glassmind.evaluate.diagnosis.stage_figures import (
    FEWEST_ROWS,
    StageFigures,
    fall,
    stage_figures,
)
from glassmind.evaluate.policy_figures import PolicySettings
from glassmind.evaluate.run_files import Metric
from glassmind.evaluate.wording import percent
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


_LAYER_JUDGES = (exploding, vanishing, large_activations, dead)

_POLICY_JUDGES: tuple[Callable[[PolicyRun], Diagnosis | None], ...] = (
    policy_lost,
    mismatch,
    unbounded_ratios,
    reward_hacking,
    length_hacking,
    divergence_grows,
    entropy_collapse,
    stale_samples,
    group_of_one,
    no_signal,
)
"""Causes before what they lead to."""


def diagnose(
    metrics: Sequence[Metric],
    stage: str,
    settings: PolicySettings | None = None,
    group_sizes: Sequence[int] = (),
) -> list[Diagnosis]:
    """Everything that is wrong with a stage, the most serious first, or that it looks healthy.

    Empty if the stage has no losses at all. For a stage of learning from reward, ``settings`` are
    those of its recipe and ``group_sizes`` how many completions of each logged group were learned
    from. Its loss is not judged: it is about 0 by construction, whether it learns or not.
    """
    run = stage_figures(metrics, stage)
    policy = policy_run(metrics, stage, settings or PolicySettings(), group_sizes)
    if policy is not None:
        return _diagnose_policy(policy, run)
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


def _diagnose_policy(policy: PolicyRun, run: StageFigures) -> list[Diagnosis]:
    judged = [judge(policy) for judge in _POLICY_JUDGES]
    judged += [judge(run) for judge in _LAYER_JUDGES]
    found = [judgement for judgement in judged if judgement is not None]
    if found:
        return found
    worse = getting_worse(policy)
    if worse is not None:
        return [worse]
    solved = policy.change(lambda row: row.solve_rate)
    if solved is None:
        seen = f"The run logged {quantity(len(policy.sets), 'set')} of samples."
        means = f"With fewer than {FEWEST_SETS}, beginning and end cannot be compared."
        return [Diagnosis("too short", seen, means, "Train longer, or lower train.log_every.")]
    seen = f"The solve rate went from {percent(solved.first)} to {percent(solved.last)}."
    if solved.rose:
        means = "It rose by more than chance explains, and none of the usual problems is seen."
    else:
        means = "That is within what chance explains; none of the usual problems is seen."
    return [Diagnosis("healthy", seen, means, "")]


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
