"""The losses of preferences against their papers' formulas, one token and one answer at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import PackedRows, pack
from glassmind.data.preferences.documents import (
    EncodedPreference,
    mismatched_documents,
    preference_document,
)
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.train import to_batch
from glassmind.train.objectives import chunked_loss, token_logprobs
from glassmind.train.objectives.preference import PreferenceTuning, answer_layout, with_reference
from glassmind.train.objectives.preference_losses import (
    PreferenceLoss,
    log_odds,
    log_one_minus_exp,
)

VOCAB, ROW = 23, 40
CPU = torch.device("cpu")
Logp = Callable[[Sequence[int], Sequence[int]], Tensor]


def policy(seed: int) -> Transformer:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(VOCAB, max_tokens=64, d_model=16, n_layers=1, attention=attention)
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return model


@pytest.fixture(scope="module")
def models() -> tuple[Transformer, Transformer]:
    """The policy and its reference."""
    return policy(1), policy(2)


@pytest.fixture(scope="module")
def preferences() -> list[EncodedPreference]:
    """Five prompts; two of the preferences are unpaired."""
    rng = np.random.default_rng(3)

    def ids(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(VOCAB, size=n).tolist())

    sizes = [(3, 4, 6), (5, 1, 3), (2, 7, 2), (4, 3, 0), (3, 0, 5)]
    return [EncodedPreference(ids(a), ids(b), ids(c)) for a, b, c in sizes]


def summed(model: Transformer) -> Logp:
    """log π(answer | prompt), without packing, masks or branches."""

    def logp(prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        logits = model(torch.tensor([[*prompt, *answer]]))[0]
        parts = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        return parts.gather(1, torch.tensor(answer)[:, None]).sum()

    return logp


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def dpo(o: PreferenceLoss, w: Tensor, rw: Tensor, b: Tensor, rb: Tensor, n: Any) -> Tensor:
    scale = (1 / n[0], 1 / n[1]) if o.average else (1, 1)
    h = o.beta * scale[0] * (w - rw) - o.beta * scale[1] * (b - rb)
    e = o.label_smoothing
    return -(1 - e) * sigmoid(h).log() - e * sigmoid(-h).log() - o.sft * w / n[0]


def ipo(o: PreferenceLoss, w: Tensor, rw: Tensor, b: Tensor, rb: Tensor, n: Any) -> Tensor:
    scale = (1 / n[0], 1 / n[1]) if o.average else (1, 1)
    return (scale[0] * (w - rw) - scale[1] * (b - rb) - 1 / (2 * o.beta)) ** 2


def simpo(o: PreferenceLoss, w: Tensor, rw: Tensor, b: Tensor, rb: Tensor, n: Any) -> Tensor:
    return -sigmoid(o.beta / n[0] * w - o.beta / n[1] * b - o.margin).log()


def orpo(o: PreferenceLoss, w: Tensor, rw: Tensor, b: Tensor, rb: Tensor, n: Any) -> Tensor:
    p, q = (w / n[0]).exp(), (b / n[1]).exp()
    ratio = (p / (1 - p)) / (q / (1 - q))
    return -o.sft * w / n[0] - o.beta * sigmoid(ratio.log()).log()


CASES = [
    (dpo, PreferenceLoss("dpo")),
    (dpo, PreferenceLoss("dpo", beta=0.7, label_smoothing=0.2, sft=0.5, average=True)),
    (ipo, PreferenceLoss("ipo", beta=0.3)),
    (ipo, PreferenceLoss("ipo", average=True)),
    (simpo, PreferenceLoss("simpo", beta=2.5, margin=0.3)),
    (orpo, PreferenceLoss("orpo", beta=0.4)),
    (orpo, PreferenceLoss("orpo", sft=0.2)),
]


def batch_of(rows: PackedRows, reference: Transformer | None) -> Any:
    return to_batch(rows if reference is None else with_reference(reference, rows, CPU), CPU)


def gradients(model: Transformer, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(("formula", "options"), CASES)
def test_pairs_against_the_papers(
    formula: Any,
    options: PreferenceLoss,
    models: tuple[Transformer, Transformer],
    preferences: list[EncodedPreference],
) -> None:
    model, reference = models
    pairs = [one for one in preferences if one.chosen and one.rejected]
    rows = pack([preference_document(one) for one in pairs], ROW, pad_id=0)
    objective = PreferenceTuning(model, options)
    batch = batch_of(rows, reference if options.needs_reference else None)
    assert objective.weight(batch) == len(pairs)
    loss, figures = objective.loss(batch)

    pi, ref = summed(model), summed(reference)
    terms, higher = [], []
    for one in pairs:
        w, b = pi(one.prompt, one.chosen), pi(one.prompt, one.rejected)
        with torch.no_grad():
            rw, rb = ref(one.prompt, one.chosen), ref(one.prompt, one.rejected)
        lengths = len(one.chosen), len(one.rejected)
        terms.append(formula(options, w, rw, b, rb, lengths))
        if options.needs_reference and not options.average:
            higher.append(bool(w - rw > b - rb))
    expected = torch.stack(terms).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6, rel=1e-6)
    for found, wanted in zip(gradients(model, loss), gradients(model, expected), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    if higher:
        assert float(figures["accuracy"]) == pytest.approx(sum(higher) / len(higher))
    with torch.no_grad():
        mean = sum(float(pi(one.prompt, one.chosen)) for one in pairs) / len(pairs)
    assert float(figures["logprob_chosen"]) == pytest.approx(mean, abs=1e-5)


def test_kto_against_the_paper(
    models: tuple[Transformer, Transformer], preferences: list[EncodedPreference]
) -> None:
    model, reference = models
    options = PreferenceLoss("kto", beta=0.4, desirable=1.3, undesirable=0.7, sft=0.5)
    rows = pack(mismatched_documents(preferences, ROW), ROW, pad_id=0)
    objective = PreferenceTuning(model, options)
    batch = batch_of(rows, reference)
    assert objective.weight(batch) == 8
    loss, figures = objective.loss(batch)

    pi, ref = summed(model), summed(reference)

    def delta(prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        with torch.no_grad():
            before = ref(prompt, answer)
        return pi(prompt, answer) - before

    after = [*preferences[1:], preferences[0]]
    others = [
        delta(one.prompt, other.chosen or other.rejected).item()
        for one, other in zip(preferences, after, strict=True)
    ]
    z = max(0.0, sum(others) / len(others))
    terms = []
    for one in preferences:
        if one.chosen:
            term = 1.3 * (1 - sigmoid(0.4 * (delta(one.prompt, one.chosen) - z)))
            terms.append(term - 0.5 * pi(one.prompt, one.chosen) / len(one.chosen))
        if one.rejected:
            terms.append(0.7 * (1 - sigmoid(0.4 * (z - delta(one.prompt, one.rejected)))))
    expected = torch.stack(terms).mean()
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)
    assert float(figures["kl"]) == pytest.approx(z, abs=1e-5)
    assert float(figures["good"]) == 0.5
    for found, wanted in zip(gradients(model, loss), gradients(model, expected), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_the_distance_of_kto_is_never_negative(
    models: tuple[Transformer, Transformer], preferences: list[EncodedPreference]
) -> None:
    """Of this policy and its reference, exchanged, one of both estimates would be negative."""
    rows = pack(mismatched_documents(preferences, ROW), ROW, pad_id=0)
    found = []
    for model, reference in (models, models[::-1]):
        objective = PreferenceTuning(model, PreferenceLoss("kto"))
        found.append(float(objective.loss(batch_of(rows, reference))[1]["kl"]))
    assert min(found) == 0 < max(found)


def test_a_model_has_no_margin_over_itself(
    models: tuple[Transformer, Transformer], preferences: list[EncodedPreference]
) -> None:
    model = models[0]
    pairs = [preference_document(one) for one in preferences if one.chosen and one.rejected]
    objective = PreferenceTuning(model, PreferenceLoss("dpo"))
    loss, figures = objective.loss(batch_of(pack(pairs, ROW, pad_id=0), model))
    assert float(loss) == pytest.approx(math.log(2), abs=1e-6)
    assert float(figures["margin"]) == pytest.approx(0, abs=1e-6)


def test_batches_weigh_as_one(
    models: tuple[Transformer, Transformer], preferences: list[EncodedPreference]
) -> None:
    """The mean over pairs does not depend on how they are dealt to batches."""
    model, reference = models
    pairs = [preference_document(one) for one in preferences if one.chosen and one.rejected]
    rows = pack(pairs, 16, pad_id=0)
    assert len(rows) > 1
    objective = PreferenceTuning(model, PreferenceLoss("dpo"))
    whole = batch_of(rows, reference)
    parts = [batch_of(rows.take(slice(n, n + 1)), reference) for n in range(len(rows))]
    weights = [objective.weight(part) for part in parts]
    assert sum(weights) == objective.weight(whole) == 3
    terms = [float(objective.loss(p)[0]) * w for p, w in zip(parts, weights, strict=True) if w]
    assert sum(terms) / 3 == pytest.approx(float(objective.loss(whole)[0]), abs=1e-6)


def test_logits_in_chunks_give_the_same(
    models: tuple[Transformer, Transformer],
    preferences: list[EncodedPreference],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models[0]
    pairs = [preference_document(one) for one in preferences if one.chosen and one.rejected]
    batch = to_batch(pack(pairs, ROW, pad_id=0), CPU)
    at = batch.indices(batch.rows[COMPLETION])
    whole = token_logprobs.token_logprobs(model, batch, at)
    assert len(whole) < chunked_loss.FEWEST_ROWS
    monkeypatch.setattr(token_logprobs, "chunk_rows", lambda vocabulary: 4)
    parts = token_logprobs.token_logprobs(model, batch, at)
    torch.testing.assert_close(parts, whole)
    for found, wanted in zip(
        gradients(model, (parts**2).sum()), gradients(model, (whole**2).sum()), strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_answers_are_told_apart_in_shared_rows(preferences: list[EncodedPreference]) -> None:
    rows = pack([preference_document(one) for one in preferences], 64, pad_id=0)
    assert len(rows) == 1
    layout = answer_layout(rows)
    lengths = {(len(one.chosen), len(one.rejected)) for one in preferences}
    chosen, rejected = layout.pairs()
    found = zip(layout.lengths_A[chosen], layout.lengths_A[rejected], strict=True)
    assert {(int(a), int(b)) for a, b in found} == {pair for pair in lengths if all(pair)}
    assert layout.lengths_A.sum() == np.count_nonzero(rows[COMPLETION])
    empty = answer_layout(rows.each(np.zeros_like))
    assert not len(empty.roles_A)


@pytest.mark.parametrize("x", [-1e-12, -1e-7, -1e-3, -0.5, -0.7, -3.0, -40.0])
def test_odds_of_probabilities_near_one_are_finite(x: float) -> None:
    value = torch.tensor(x, requires_grad=True)
    found = log_one_minus_exp(value)
    assert float(found) == pytest.approx(math.log(-math.expm1(min(x, -1e-6))), rel=1e-5)
    log_odds(value).backward()
    assert value.grad is not None and value.grad.isfinite()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loss": "ipo", "label_smoothing": 0.1}, "label_smoothing is for loss dpo"),
        ({"loss": "dpo", "margin": 1.0}, "margin is for loss simpo"),
        ({"sft": float("inf")}, "sft must be at most"),
        ({"loss": "dpo", "desirable": 2.0}, "for loss kto"),
        ({"loss": "kto", "average": True}, "average is for loss dpo or ipo"),
        ({"label_smoothing": 0.5}, "below 0.5"),
        ({"beta": float("nan")}, "beta must lie"),
    ],
)
def test_options_of_another_loss_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PreferenceLoss(**options)


def test_usual_numbers_are_written_out() -> None:
    assert PreferenceLoss("simpo") == PreferenceLoss("simpo", beta=2.0, margin=1.0)
    for loss, average in product(("dpo", "ipo"), (False, True)):
        made = PreferenceLoss(loss, average=average)  # type: ignore[arg-type]
        assert (made.beta, made.margin) == (0.1, 0.0)
        assert replace(made) == made


def test_one_prompt_is_too_few_for_kto(preferences: list[EncodedPreference]) -> None:
    same = [replace(one, prompt=(1, 2)) for one in preferences]
    with pytest.raises(UserError, match="all preferences have the same prompt"):
        mismatched_documents(same, ROW)
