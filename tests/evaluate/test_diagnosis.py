"""Every illness from a real run that has it; a healthy run of the same size has none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_model, tiny_text, train_tiny
from torch import nn

from glassmind.evaluate.diagnosis.diagnose import diagnose
from glassmind.evaluate.diagnosis.stage_figures import smoothed
from glassmind.evaluate.run_files import Metric
from glassmind.model import Block
from glassmind.model.config import FeedForwardKind


def kinds(metrics: list[Metric]) -> list[str]:
    return [found.kind for found in diagnose(metrics, "pretrain")]


@pytest.mark.parametrize("kind", ["relu2", "relu", "swiglu"])
def test_a_healthy_run_is_called_healthy(kind: FeedForwardKind) -> None:
    (found,) = diagnose(train_tiny(tiny_model(kind=kind)), "pretrain")
    assert found.kind == "healthy"
    assert found.well
    assert "gradients, updates and activations stay within" in found.seen


def test_a_deep_healthy_run_is_called_healthy() -> None:
    assert kinds(train_tiny(tiny_model(24), 20, batch_rows=4)) == ["healthy"]


def test_gradients_vanish_in_a_deep_network_that_normalises_the_sum() -> None:
    """Twenty-four post-norm blocks: the cure that the finding names is the run above."""
    found = diagnose(train_tiny(tiny_model(24, placement="residual"), 20, batch_rows=4), "pretrain")
    first = found[0]
    assert first.kind == "vanishing gradients"
    assert first.blocks == tuple(f"blocks.{i}" for i in range(6))
    assert "blocks 0 to 5 are" in first.seen
    assert "blocks 18 to 23" in first.seen
    assert 'norm_placement = "before"' in first.try_


def test_gradients_explode_without_norms_and_with_large_weights() -> None:
    model = tiny_model(6, kind="gelu")
    model.final_norm = None
    for block in model.modules():
        if isinstance(block, Block):
            block.attention_norm = block.feed_forward_norm = None
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=3 / layer.in_features**0.5)
    found = {d.kind: d for d in diagnose(train_tiny(model, 20), "pretrain")}
    assert "exploding gradients" in found
    assert "initialisation" in found["exploding gradients"].try_


def test_units_that_a_negative_bias_keeps_asleep_are_found_where_they_are() -> None:
    model = tiny_model(kind="relu")
    with torch.no_grad():
        for layer in (1, 2):
            model.get_parameter(f"blocks.{layer}.feed_forward.up.bias").fill_(-8)
    (found,) = diagnose(train_tiny(model), "pretrain")
    assert found.kind == "dead units"
    assert found.blocks == ("blocks.1", "blocks.2")
    assert "blocks 1 to 2" in found.seen
    assert "100 %" in found.seen


def test_a_learning_rate_a_hundred_times_too_high() -> None:
    found = diagnose(train_tiny(tiny_model(), muon_lr=2.0, adamw_lr=0.3), "pretrain")
    assert found[0].kind == "learning rate too high"
    assert "changed the typical matrix by" in found[0].seen
    assert "Lower train.muon_lr" in found[0].try_
    assert "activations out of hand" in [d.kind for d in found]


def test_a_learning_rate_a_thousand_times_too_low() -> None:
    (found,) = diagnose(train_tiny(tiny_model(), muon_lr=2e-5, adamw_lr=3e-6), "pretrain")
    assert found.kind == "learning rate too low"
    assert "Raise" in found.try_


def test_noise_cannot_be_learned() -> None:
    noise = torch.randint(24, (20_000,), generator=torch.Generator().manual_seed(0))
    (found,) = diagnose(train_tiny(tiny_model(), text=noise.int().numpy()), "pretrain")
    assert found.kind == "loss not falling"
    assert "Look at the data" in found.try_


def test_a_text_of_eight_rows_is_learned_by_heart() -> None:
    metrics = train_tiny(
        tiny_model(), 80, text=tiny_text(256), held_out=tiny_text(1024, seed=1), inspect_every=0
    )
    found = {d.kind: d for d in diagnose(metrics, "pretrain")}
    assert list(found) == ["overfitting"]
    best = min((m for m in metrics if m.validation_loss), key=lambda m: m.validation_loss or 0)
    assert found["overfitting"].steps == (best.step, 80)
    assert f"Stop near step {best.step}" in found["overfitting"].try_


# ------------------------------------------------------------------ curves, without a model


def losses(*values: float, **more: float) -> list[Metric]:
    return [Metric("pretrain", i, loss=v, lr=1.0, **more) for i, v in enumerate(values, start=1)]


def test_losses_alone_are_enough_for_a_verdict() -> None:
    falling = losses(*(3 * 0.95**i for i in range(60)))
    (found,) = diagnose(falling, "pretrain")
    assert found.kind == "healthy"
    assert "inspect_every" in found.try_


def test_a_loss_that_is_no_number_is_a_learning_rate_too_high() -> None:
    metrics = [*losses(*(3 - 0.02 * i for i in range(20))), Metric("pretrain", 21, lr=1.0)]
    (found,) = diagnose(metrics, "pretrain")
    assert found.kind == "learning rate too high"
    assert "stopped being a number at step 21" in found.seen


def test_a_loss_that_ends_far_above_its_lowest_has_diverged() -> None:
    metrics = losses(*(3 - 0.05 * i for i in range(30)), *(1.5 + 0.1 * i for i in range(10)))
    assert kinds(metrics) == ["learning rate too high"]


def test_a_single_spike_is_a_spike() -> None:
    curve = [3 * 0.98**i for i in range(60)]
    curve[40] = 3.0
    (found,) = diagnose(losses(*curve), "pretrain")
    assert found.kind == "loss spikes"
    assert found.steps == (41, 41)
    assert "once, most at step 41" in found.seen


@pytest.mark.parametrize(("fall", "found"), [(0.1, True), (0.0, False), (-0.1, False)])
def test_chosen_answers_that_fall_with_the_loss_are_told_of(fall: float, found: bool) -> None:
    """The noise of one batch is as large as ten steps of the fall."""
    rng = random.Random(0)
    metrics = [
        Metric(
            "preference",
            step,
            loss=0.69 - 0.01 * step,
            lr=1.0,
            logprob_chosen=-5 - fall * step + rng.gauss(0, 1),
        )
        for step in range(1, 41)
    ]
    kinds = [one.kind for one in diagnose(metrics, "preference")]
    assert ("chosen answers fall" in kinds) == found


def test_what_the_guard_noted_is_told() -> None:
    metrics = losses(*(3 * 0.95**i for i in range(60)))
    metrics.insert(30, Metric("pretrain", 30, trouble="the loss is 9, after 2 ± 0.1 before"))
    (found,) = diagnose(metrics, "pretrain")
    assert found.kind == "loss spikes"
    assert "once, first at step 30: the loss is 9, after" in found.seen


def test_noise_around_a_flat_end_is_no_divergence() -> None:
    noise = torch.randn(400, generator=torch.Generator().manual_seed(3)) * 0.15
    curve = [1.5 + 1.5 * 0.97**i + noise[i].item() for i in range(400)]
    assert kinds(losses(*curve)) == ["healthy"]


def test_a_short_run_is_not_judged_and_an_empty_one_has_nothing_to_say() -> None:
    (found,) = diagnose(losses(3, 3, 3), "pretrain")
    assert found.kind == "too short"
    assert found.well
    assert diagnose([], "pretrain") == []
    assert diagnose(losses(3, 2, 1), "another") == []


def test_a_short_run_that_went_wrong_is_judged() -> None:
    assert kinds(losses(258, 300, 1154)) == ["learning rate too high"]


def test_figures_that_could_not_be_measured_do_no_harm() -> None:
    metrics = train_tiny(tiny_model(), 12)
    blank = []
    for m in metrics:
        if m.inspection is not None:
            hollow = dict.fromkeys(m.inspection.gradients)
            emptied = replace(
                m.inspection, gradients=hollow, updates=hollow, silent=(), residual=()
            )
            m = replace(m, inspection=emptied)
        blank.append(m)
    assert "vanishing gradients" not in kinds(blank)


def test_smoothing_is_the_mean_of_the_last_values() -> None:
    assert smoothed([1, 2, 3, 4, 5, 6], 3) == pytest.approx([1, 1.5, 2, 3, 4, 5])
