"""A summary of a run's metrics by stage, for the report and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.diagnosis.diagnose import diagnose
from glassmind.evaluate.diagnosis.judgement import Diagnosis
from glassmind.evaluate.diagnosis.policy_run import policy_run
from glassmind.evaluate.policy_figures import PolicySettings
from glassmind.evaluate.report.loss_curves import loss_panel
from glassmind.evaluate.report.policy_panels import policy_panels
from glassmind.evaluate.report.training_panels import (
    Matrix,
    Panel,
    inspection_panels,
    looks_of,
    matrices,
)
from glassmind.evaluate.report.watched_section import WatchedHistory, watched_histories
from glassmind.evaluate.run_files import Metric, RunFiles
from glassmind.evaluate.wording import duration
from glassmind.quantity import quantity


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its loss as SVG, if it has any, the diagnoses, and charts of the layers; for one
    that learned from reward, also charts of it (``policy``), and the ``watched`` problems."""

    name: str
    loss: str | None
    diagnoses: tuple[Diagnosis, ...]
    panels: tuple[Panel, ...]
    matrices: tuple[Matrix, ...]
    policy: tuple[Panel, ...] = ()
    watched: tuple[WatchedHistory, ...] = ()


def stages_of(files: RunFiles) -> list[Stage]:
    """Every stage that has metrics, in the order in which they began."""
    metrics = files.metrics or ()
    settings = PolicySettings.of_recipe(files.recipe)
    sizes = [sum(any(one.written) for one in group.completions) for group in files.groups]
    found = []
    for name in _trained(metrics):
        looks = looks_of(metrics, name)
        run = policy_run(metrics, name, settings)
        found.append(
            Stage(
                name,
                loss_panel(metrics, name),
                tuple(diagnose(metrics, name, settings, sizes)),
                tuple(inspection_panels(looks)),
                tuple(matrices(looks)),
                () if run is None else tuple(policy_panels(run, files.groups)),
                () if run is None else tuple(watched_histories(files.watched)),
            )
        )
    return found


def training_summary(files: RunFiles) -> list[str]:
    """A sentence for each stage: how long it trained, and where its losses ended."""
    metrics = files.metrics or ()
    sentences = [
        _stage_sentence(name, [m for m in metrics if m.stage == name]) for name in _trained(metrics)
    ]
    sentences += [
        f"{metric.stage}: the engine's log-probabilities differ from the trainer's by "
        f"{difference.mean:.2g} nats in the mean and {difference.max:.2g} at most "
        f"({quantity(difference.tokens, 'token')})."
        for metric in metrics
        if (difference := metric.engine_trainer_logprob_diff) is not None
    ]
    check = files.validation
    if check is not None and check.validation_loss is not None:
        sentence = f"On held-out text the loss is {check.validation_loss:.4f} nats a token"
        if check.bits_per_byte is not None:
            sentence += f", {check.bits_per_byte:.4f} bits a byte"
        sentences.append(f"{sentence}.")
    return sentences


def _trained(metrics: Sequence[Metric]) -> list[str]:
    """The stages that trained, in the order in which they began; sampling is not a stage."""
    trained = (m.stage for m in metrics if m.engine_trainer_logprob_diff is None)
    return list(dict.fromkeys(trained))


def _stage_sentence(name: str, rows: list[Metric]) -> str:
    losses = [m.loss for m in rows if m.loss is not None]
    checks = [m.validation_loss for m in rows if m.validation_loss is not None]
    tokens = max((m.tokens for m in rows if m.tokens is not None), default=None)
    seconds = max((m.seconds for m in rows if m.seconds is not None), default=None)
    spent = [quantity(max(m.step for m in rows), "step")]
    spent += [] if tokens is None else [quantity(tokens, "token")]
    spent += [] if seconds is None else [duration(seconds)]
    sentence = f"{name}: {', '.join(spent)}"
    if losses:
        sentence += f"; the training loss went from {losses[0]:.4g} to {losses[-1]:.4g}"
    if checks:
        sentence += f"; the validation loss ended at {checks[-1]:.4g}"
        if min(checks) < checks[-1]:
            sentence += f" (lowest {min(checks):.4g})"
    return f"{sentence}."
