"""GRPO against its equation, written as a loop over single tokens of single completions."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, pack
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.train import GRPO, Batch, to_batch
from glassmind.train.gradients import accumulate_gradients
from glassmind.train.objectives.grpo import (
    ADVANTAGE,
    FIRST_PASS,
    NOT_SAMPLED,
    OLD_LOGPROB,
    SAMPLED_LOGPROB,
)
from glassmind.train.objectives.policy.advantages import standardised
from glassmind.train.objectives.policy.options import Normalisation, PolicyOptions
from glassmind.train.processes.process_group import ProcessGroup

VOCAB, TEMPERATURE, LONGEST = 23, 0.7, 9
CPU = torch.device("cpu")
Chain = tuple[list[int], list[bool], list[float], float]  # ids, written by the model, old, A


def policy(seed: int) -> Transformer:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(VOCAB, max_tokens=64, d_model=16, n_layers=2, attention=attention)
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return model


@torch.no_grad()
def logprobs(model: Transformer, prompt: list[int], chain: list[int]) -> list[float]:
    logits = model(torch.tensor([prompt + chain]))[0].double() / TEMPERATURE
    logp = logits.log_softmax(-1)
    return [float(logp[len(prompt) + t - 1, token]) for t, token in enumerate(chain)]


def groups(model: Transformer) -> list[tuple[list[int], list[Chain]]]:
    """Two questions: three and two completions of 1 to 7 tokens, drawn by a model that differs."""
    rng = np.random.default_rng(1)
    made = []
    for n_prompt, lengths in ((3, (7, 1, 4)), (5, (2, 6))):
        prompt = rng.integers(VOCAB, size=n_prompt).tolist()
        advantages = standardised(rng.normal(size=len(lengths))).tolist()
        chains: list[Chain] = []
        for length, advantage in zip(lengths, advantages, strict=True):
            ids = rng.integers(VOCAB, size=length).tolist()
            own = [t % 3 != 1 for t in range(length)]  # the others a tool wrote
            old = [x + rng.normal(scale=1.0) for x in logprobs(model, prompt, ids)]
            chains.append((ids, own, old, advantage))
        made.append((prompt, chains))
    return made


def document(prompt: list[int], chains: list[Chain], first: int = 0) -> Document:
    """``first`` is the number of its first sampled token, -1 on a later pass."""
    lengths = [len(ids) for ids, _, _, _ in chains]

    def along(of_prompt: float, values: list[float]) -> list[float]:
        return [of_prompt] * len(prompt) + values

    own = [x for _, written, _, _ in chains for x in written]
    return Document(
        ids=np.array(prompt + [t for ids, _, _, _ in chains for t in ids], np.int32),
        columns={
            COMPLETION: np.array(along(False, own)).astype(bool),
            ADVANTAGE: np.array(along(0, np.repeat([a for *_, a in chains], lengths).tolist())),
            OLD_LOGPROB: np.array(along(0, [x for _, _, old, _ in chains for x in old])),
            SAMPLED_LOGPROB: np.array(along(0, [x for _, _, old, _ in chains for x in old])),
            FIRST_PASS: np.array(
                along(NOT_SAMPLED, [*range(first, first + sum(lengths))])
                if first >= 0
                else along(-1, [-1] * sum(lengths))
            ),
        },
        branches=np.array(
            along(0, np.repeat(range(1, len(chains) + 1), lengths).tolist()), np.int16
        ),
    )


def batch_of(made: list[tuple[list[int], list[Chain]]], row: int = 24) -> Batch:
    documents, first = [], 0
    for prompt, chains in made:
        documents.append(document(prompt, chains, first))
        first += sum(len(ids) for ids, _, _, _ in chains)
    return to_batch(pack(documents, row, pad_id=0), CPU)


def expected(
    model: Transformer,
    made: list[tuple[list[int], list[Chain]]],
    normalisation: Normalisation,
    kl: float,
    reference: Transformer,
) -> float:
    sums: list[tuple[float, int]] = []
    for prompt, chains in made:
        for ids, written, old, advantage in chains:
            now, before = logprobs(model, prompt, ids), logprobs(reference, prompt, ids)
            total = 0.0
            for t in range(len(ids)):
                if not written[t]:
                    continue
                ratio = math.exp(now[t] - old[t])
                clipped = min(max(ratio, 1 - 0.1), 1 + 0.3)
                behind = before[t] - now[t]
                total -= min(ratio * advantage, clipped * advantage)
                total += kl * (math.exp(behind) - behind - 1)
            sums.append((total, sum(written)))
    if normalisation == "sequence":
        return sum(total / n for total, n in sums) / len(sums)
    if normalisation == "token":
        return sum(total for total, _ in sums) / sum(n for _, n in sums)
    return sum(total for total, _ in sums) / (len(sums) * LONGEST)


@pytest.mark.parametrize("kl", [0.0, 0.3])
@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_the_loss_is_the_papers(normalisation: Normalisation, kl: float) -> None:
    model, other = policy(0), policy(3)
    made = groups(model)
    options = PolicyOptions(
        clip_low=0.1,
        clip_high=0.3,
        normalisation=normalisation,
        constant_length=LONGEST,
        kl=kl,
    )
    objective = GRPO(model, options, temperature=TEMPERATURE)
    if kl:
        assert objective.reference is not None
        objective.reference.load_state_dict(other.state_dict())
    loss, figures = objective.loss(batch_of(made))
    assert loss.item() == pytest.approx(expected(model, made, normalisation, kl, other), rel=1e-4)
    assert 0 < float(figures["clipped"]) < 1

    # Of two batches, weighted, the mean is that of both together.
    parts = [batch_of([group]) for group in made]
    weights = [objective.weight(part) for part in parts]
    each = [objective.loss(part)[0].item() for part in parts]
    assert np.average(each, weights=weights) == pytest.approx(loss.item(), rel=1e-4)


def test_before_the_first_update_the_gradient_is_that_of_reinforce() -> None:
    """With ratios of exactly 1 nothing is clipped: the gradient is that of - mean A log π."""
    model = policy(0)
    made = [
        (p, [(ids, [True] * len(ids), logprobs(model, p, ids), a) for ids, _, _, a in chains])
        for p, chains in groups(model)
    ]
    GRPO(model, PolicyOptions(), temperature=TEMPERATURE).loss(batch_of(made))[0].backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    terms = []
    for prompt, chains in made:
        for ids, _, _, advantage in chains:
            logits = model(torch.tensor([prompt + ids]))[0] / TEMPERATURE
            at = torch.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
            terms.append(-advantage * logits.log_softmax(-1)[at, torch.tensor(ids)])
    torch.cat(terms).mean().backward()
    assert found
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-6), name


def test_the_trainer_s_own_first_pass_has_a_ratio_of_exactly_1() -> None:
    """Whatever the sampler's log-probabilities were; they come back in the correction."""
    model = policy(0)
    made = groups(model)
    objective = GRPO(model, PolicyOptions(old="trainer"), temperature=TEMPERATURE)
    found: dict[int, float] = {}
    objective.record = lambda numbers, logprob, reference: found.update(
        zip(numbers.tolist(), logprob.tolist(), strict=True)
    )
    _, figures = objective.loss(batch_of(made))
    assert float(figures["ratio_first"]) == 0.0
    assert float(figures["logprob_diff"]) > 0.5
    assert float(figures["clipped"]) == 0.0
    assert float(figures["entropy"]) == pytest.approx(mean_entropy(model, made), rel=1e-4)
    expected = [
        x
        for prompt, chains in made
        for ids, written, _, _ in chains
        for x, own in zip(logprobs(model, prompt, ids), written, strict=True)
        if own
    ]
    assert len(found) == len(expected)

    options = PolicyOptions(old="trainer", correction="truncate", correction_high=1.2)
    _, figures = GRPO(model, options, temperature=TEMPERATURE).loss(batch_of(made))
    logs = [now - drawn for prompt, chains in made for ids, written, old, _ in chains
            for now, drawn, own in zip(logprobs(model, prompt, ids), old, written, strict=True)
            if own]  # fmt: skip
    assert float(figures["correction_log"]) == pytest.approx(max(map(abs, logs)), rel=1e-4)
    large = sum(log > math.log(1.2) for log in logs)
    assert float(figures["corrected"]) == pytest.approx(large / len(logs))
    assert 0 < large < len(logs)

    later = [document(prompt, chains, -1) for prompt, chains in made]
    _, figures = objective.loss(to_batch(pack(later, 24, pad_id=0), CPU))
    assert "ratio_first" not in figures
    assert float(figures["clipped"]) > 0


@torch.no_grad()
def mean_entropy(model: Transformer, made: list[tuple[list[int], list[Chain]]]) -> float:
    found = []
    for prompt, chains in made:
        for ids, written, _, _ in chains:
            logits = model(torch.tensor([prompt + ids]))[0] / TEMPERATURE
            of_chain = torch.distributions.Categorical(logits=logits).entropy()
            at = torch.arange(len(prompt) - 1, len(prompt) + len(ids) - 1)
            found.append(of_chain[at][torch.tensor(written)])
    return float(torch.cat(found).mean())


def test_a_trainer_that_does_not_repeat_itself_is_stopped() -> None:
    model = policy(0)
    model.blocks[0].register_forward_hook(lambda block, given, out: out * (1 + torch.rand(()) / 9))
    made = groups(model)
    objective = GRPO(model, PolicyOptions(old="trainer"), temperature=TEMPERATURE)
    with pytest.raises(UserError, match="so the ratio on the first mini-batch is not 1: switch dr"):
        objective.loss(batch_of(made))
    GRPO(model, PolicyOptions(), temperature=TEMPERATURE).loss(batch_of(made))


def test_of_several_batches_the_largest_difference_is_logged() -> None:
    model = policy(0)
    made = groups(model)
    objective = GRPO(model, PolicyOptions(), temperature=TEMPERATURE)
    whole = objective.loss(batch_of(made))[1]
    parts = [batch_of([group]) for group in made]
    autocast = torch.autocast("cpu", enabled=False)
    _, figures = accumulate_gradients(objective, parts, ProcessGroup(), autocast)
    logged = figures.of_all(ProcessGroup())
    assert logged.keys() == whole.keys()
    for name, value in whole.items():
        assert logged[name] == pytest.approx(float(value), rel=1e-4), name


@pytest.mark.parametrize("old", ["sampler", "trainer"])
def test_a_batch_in_which_nothing_is_learned(old: str) -> None:
    """Every completion was cut off and left out: a loss of 0, and no figure that is NaN."""
    model = policy(0)
    made = [(p, [(i, [False] * len(i), o, a) for i, _, o, a in c]) for p, c in groups(model)]
    options = PolicyOptions(old=old, kl=0.1)  # type: ignore[arg-type]
    objective = GRPO(model, options, temperature=TEMPERATURE)
    batch = batch_of(made)
    loss, figures = objective.loss(batch)
    loss.backward()
    assert (loss.item(), objective.weight(batch)) == (0.0, 0.0)
    assert all(float(value) == 0.0 for value in figures.values())
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
