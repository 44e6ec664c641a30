"""The laboratory against plain sums over everything that can be drawn, and what it must find."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.evaluate.columns import table_lines
from glassmind.evaluate.laboratory import draws as drawing
from glassmind.evaluate.laboratory import results
from glassmind.evaluate.laboratory.draws import draws
from glassmind.evaluate.laboratory.estimators import SECTIONS, Estimator, estimators
from glassmind.evaluate.laboratory.measure import Measured, measure, truth
from glassmind.evaluate.laboratory.page import render_laboratory
from glassmind.evaluate.laboratory.results import Laboratory, run_laboratory, table_rows
from glassmind.evaluate.laboratory.toy import completions, logprobs, make_policy, text
from glassmind.evaluate.laboratory.world import World, make_world

SEED = results.SEED
UNBIASED = {
    "reward": {"REINFORCE", "REINFORCE, exact baseline", "RLOO"},
    "critic": {
        "exact critic, λ = 1", "exact critic, λ = 0.95", "exact critic, λ = 0",
        "wrong critic, λ = 1",
    },
    "divergence": {"k1 in the reward"},
    "stale": {"weight of the completion"},
    "mismatch": {"small errors, weight of completions"},
    "several": {"RLOO of the sum"},
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SEED)


@pytest.fixture(scope="module")
def whole() -> Laboratory:
    return run_laboratory(seed=SEED)


def row(laboratory: Laboratory, section: str, name: str) -> Measured:
    return next(found for found in laboratory.of(section) if found.name == name)


def estimator(name: str, section: str = "reward") -> Estimator:
    return next(one for one in estimators() if (one.section, one.name) == (section, name))


def gradient(value: Tensor, model: torch.nn.Module) -> np.ndarray:
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, model.parameters())]).numpy()


def along(values_N: Tensor, world: World) -> list[Tensor]:
    """The values of every completion's choices."""
    toy = world.toy
    return [
        values_N[torch.tensor(choices[:length])]
        for choices, length in zip(toy.choices_CT, toy.lengths_C, strict=True)
    ]


# ------------------------------------------------------------------------------- what is exact


def test_the_toy_s_completions_are_all_there_are(world: World) -> None:
    words = [text(completion) for completion in completions()]
    assert len(set(words)) == 15
    assert words[:4] == [".", "a.", "b.", "aa."]
    for sampler in world.sampled_N:
        by_question = world.probabilities(sampler).reshape(2, 15).sum(1)
        assert by_question == pytest.approx([1, 1], abs=1e-12), sampler
    assert (world.probabilities("nucleus") == 0).any()
    rewards = dict(zip(world.toy.names, world.toy.rewards_CK.tolist(), strict=True))
    assert rewards["easy: ba."] == [1, 1] and rewards["easy: bbb"] == [0, 0]
    assert rewards["hard: bb."] == [1, 1] and rewards["hard: ab."] == [0, 1]


def test_true_gradients_are_those_of_the_sums(world: World) -> None:
    """The expected reward and the divergence, differentiated through the model by autograd."""
    model = make_policy(SEED)
    logp = along(logprobs(model, world.toy), world)
    reference = along(torch.tensor(world.reference_N), world)
    p = [one.sum().exp() for one in logp]
    reward = sum(
        weight * float(r) / 2 for weight, r in zip(p, world.toy.rewards_CK[:, 0], strict=True)
    )
    far = sum(
        weight * (mine.sum() - other.sum()) / 2
        for weight, mine, other in zip(p, logp, reference, strict=True)
    )
    assert isinstance(reward, Tensor) and isinstance(far, Tensor)
    rloo, kl = estimator("RLOO"), estimator("k1 in the reward", "divergence")
    expected = gradient(reward, model)
    assert np.abs(expected).max() > 0.01
    model = make_policy(SEED)
    assert np.allclose(truth(world, rloo), expected, atol=1e-13)
    logp = along(logprobs(model, world.toy), world)
    far = sum(
        one.sum().exp() * (one.sum() - other.sum()) / 2
        for one, other in zip(logp, reference, strict=True)
    )
    assert isinstance(far, Tensor)
    assert np.allclose(truth(world, kl), -gradient(far, model), atol=1e-13)


def test_draws_are_all_ordered_groups_counted_once() -> None:
    probability_QC = np.array([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9]])
    choices_QC = np.array([[0, 1, 2], [3, 4, 5]])
    found = draws(choices_QC, probability_QC, 3, 10, np.random.default_rng(0))
    assert found.exact
    counted = {
        tuple(map(tuple, members.tolist())): p
        for members, p in zip(found.members_DQG, found.probability_D, strict=True)
    }
    expected: dict[tuple[tuple[int, ...], ...], float] = {}
    for first in product(range(3), repeat=3):
        for second in product(range(3), repeat=3):
            p = math.prod(probability_QC[0, c] for c in first)
            p *= math.prod(probability_QC[1, c] for c in second)
            key = (tuple(sorted(first)), tuple(sorted(c + 3 for c in second)))
            expected[key] = expected.get(key, 0.0) + p
    expected = {key: p for key, p in expected.items() if p > 0}
    assert counted.keys() == expected.keys()
    assert all(counted[key] == pytest.approx(p) for key, p in expected.items())


# ------------------------------------------------------------- expectations, in plain loops


def ordered_pairs(world: World, question: int) -> Iterator[tuple[float, tuple[int, int]]]:
    probability_C = world.probabilities("policy")
    for pair in product(world.toy.of_question(question).tolist(), repeat=2):
        yield probability_C[pair[0]] * probability_C[pair[1]], pair


def standardised(rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))
    return [(r - mean) / (deviation + 1e-4) for r in rewards]


def plain(world: World, weight_C: np.ndarray) -> np.ndarray:
    """Σ of the completions' weights times the gradients of their log-probabilities."""
    model = make_policy(SEED)
    logp = along(logprobs(model, world.toy), world)
    total = sum(float(w) * one.sum() for w, one in zip(weight_C, logp, strict=True))
    assert isinstance(total, Tensor)
    return gradient(total, model)


def same(found: Measured, expected_P: np.ndarray, true_P: np.ndarray) -> None:
    size = np.linalg.norm(true_P)
    assert found.length == pytest.approx(np.linalg.norm(expected_P) / size, rel=1e-9)
    assert found.bias == pytest.approx(np.linalg.norm(expected_P - true_P) / size, rel=1e-9)
    assert found.scale == pytest.approx(expected_P @ true_P / size**2, rel=1e-9)


def test_grpo_s_expectation_over_all_pairs(world: World, whole: Laboratory) -> None:
    reward_C, length_C = world.toy.rewards_CK[:, 0], world.toy.lengths_C
    weight_C = np.zeros(30)
    for question in (0, 1):
        for p, pair in ordered_pairs(world, question):
            for c, a in zip(pair, standardised([reward_C[c] for c in pair]), strict=True):
                weight_C[c] += p * a / (2 * length_C[c]) / 2
    same(row(whole, "reward", "GRPO"), plain(world, weight_C), truth(world, estimator("RLOO")))


def test_dapo_s_expectation_over_all_pairs_of_pairs(world: World, whole: Laboratory) -> None:
    reward_C, length_C = world.toy.rewards_CK[:, 0].tolist(), world.toy.lengths_C.tolist()
    weight = [0.0] * 30
    judged = [
        [
            (p, pair, standardised([reward_C[c] for c in pair]))
            for p, pair in ordered_pairs(world, q)
        ]
        for q in (0, 1)
    ]
    for p, easy, easy_advantages in judged[0]:
        for q, hard, hard_advantages in judged[1]:
            share = p * q / (length_C[easy[0]] + length_C[easy[1]]
                             + length_C[hard[0]] + length_C[hard[1]])  # fmt: skip
            weight[easy[0]] += share * easy_advantages[0]
            weight[easy[1]] += share * easy_advantages[1]
            weight[hard[0]] += share * hard_advantages[0]
            weight[hard[1]] += share * hard_advantages[1]
    same(
        row(whole, "reward", "DAPO"),
        plain(world, np.array(weight)),
        truth(world, estimator("RLOO")),
    )


def test_the_noise_of_reinforce(world: World, whole: Laboratory) -> None:
    """Its draws are independent completions, so the variance is that of one."""
    p_C, reward_C = world.probabilities("policy"), world.toy.rewards_CK[:, 0]
    true_P = truth(world, estimator("RLOO"))
    variance = 0.0
    for question in (0, 1):
        own = world.toy.of_question(question)
        each = [
            reward_C[c] * world.score_NP[world.toy.choices_CT[c, : world.toy.lengths_C[c]]].sum(0)
            for c in own
        ]
        mean = sum(p_C[c] * g for c, g in zip(own, each, strict=True))
        variance += sum(p_C[c] * ((g - mean) ** 2).sum() for c, g in zip(own, each, strict=True))
    # A mean over two questions and two completions of each: variance / 2 / 2², of 4 completions.
    expected = 4 * variance / 8 / (true_P @ true_P)
    assert row(whole, "reward", "REINFORCE").completions == pytest.approx(expected, rel=1e-9)


def test_random_draws_agree_with_all_draws(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = measure(world, estimator("GRPO"), group=2, samples=1000)
    monkeypatch.setattr(drawing, "MOST_DRAWS", 0)
    drawn = measure(world, estimator("GRPO"), group=2, samples=20_000)
    assert exact.exact and not drawn.exact
    assert exact.bias_error == 0 < drawn.bias_error < 0.02
    assert abs(drawn.bias - exact.bias) < 4 * drawn.bias_error
    assert exact.completions is not None
    assert drawn.completions == pytest.approx(exact.completions, rel=0.1)


# ------------------------------------------------------------------------------- what it finds


def test_which_estimators_are_unbiased(whole: Laboratory) -> None:
    unbiased = {(one.section, one.name) for one in whole.rows if one.bias < 1e-10}
    assert unbiased == {(section, name) for section, names in UNBIASED.items() for name in names}
    assert all(one.exact for one in whole.rows)
    assert all(one.bias > 1e-4 for one in whole.rows if (one.section, one.name) not in unbiased)


def test_of_another_policy_and_larger_groups_they_are_unbiased_as_well() -> None:
    other = make_world(7)
    for section, names in UNBIASED.items():
        for name in names:
            found = measure(other, estimator(name, section), group=3, samples=1000)
            assert found.exact and found.bias < 1e-10, name


@pytest.mark.parametrize("group", [2, 3, 4])
def test_the_group_s_mean_shrinks_the_gradient_by_one_part_in_g(world: World, group: int) -> None:
    found = measure(world, estimator("group mean as baseline"), group=group, samples=1000)
    assert found.length == pytest.approx(1 - 1 / group, abs=1e-12)
    assert found.cosine == pytest.approx(1, abs=1e-12)
    doctor = measure(world, estimator("Dr. GRPO"), group=group, samples=1000)
    assert doctor.length == pytest.approx((1 - 1 / group) / 3, abs=1e-12)
    assert doctor.completions == pytest.approx(found.completions)


def test_before_an_update_ratios_change_nothing(whole: Laboratory) -> None:
    for one, other in (("GSPO", "GRPO"), ("CISPO", "DAPO")):
        a, b = row(whole, "reward", one), row(whole, "reward", other)
        assert (a.length, a.cosine, a.completions) == pytest.approx(
            (b.length, b.cosine, b.completions)
        )


def test_what_a_divergence_in_the_loss_pulls_at(world: World) -> None:
    """Of a token, given what was written before it: k2, and k1 and k3 with the ratio, pull at
    KL(π || π_ref), k3 at KL(π_ref || π), k1 at nothing."""
    model = make_policy(SEED)
    toy = world.toy
    reached = np.zeros(len(toy.contexts))  # the probability of each context, not differentiated
    for choices, length, p in zip(
        toy.choices_CT, toy.lengths_C, world.probabilities("policy"), strict=True
    ):
        reached[toy.before_N[choices[:length]]] += p / 2
    logp_N, other_N = logprobs(model, toy), torch.tensor(world.reference_N)
    weight_N = torch.tensor(reached[toy.before_N])
    forward = (weight_N * logp_N.exp() * (logp_N - other_N)).sum()
    backward = (weight_N * other_N.exp() * (other_N - logp_N)).sum()
    own_P = -torch.autograd.grad(forward, logp_N, retain_graph=True)[0].numpy() @ world.score_NP
    other_P = -torch.autograd.grad(backward, logp_N)[0].numpy() @ world.score_NP
    for name, expected_P in (
        ("k2 in the loss", own_P),
        ("k1 in the loss, with the ratio", own_P),
        ("k3 in the loss, with the ratio", own_P),
        ("k3 in the loss", other_P),
    ):
        one = estimator(name, "divergence")
        same(measure(world, one, group=2, samples=1000), expected_P, truth(world, one))
    nothing = measure(world, estimator("k1 in the loss", "divergence"), group=2, samples=1000)
    assert (nothing.length, nothing.cosine, nothing.completions) == (0, None, None)


def test_dynamic_sampling_conditions_on_groups_with_a_spread(world: World) -> None:
    """Without a batch's length in it, each question's gradient is divided by how often its groups
    have a spread."""
    plainly = replace(estimator("group mean as baseline"), again=True)
    toy, reward_C, p_C = world.toy, world.toy.rewards_CK[:, 0], world.probabilities("policy")
    each_CP = np.stack(
        [world.score_NP[toy.choices_CT[c, :n]].sum(0) for c, n in enumerate(toy.lengths_C)]
    )
    expected_P, variance, sampled = np.zeros(each_CP.shape[1]), 0.0, 0.0
    for question in (0, 1):
        solved = sum(p_C[c] * reward_C[c] for c in toy.of_question(question))
        informative = 2 * solved * (1 - solved)
        sampled += 2 / informative  # the groups that are thrown away as well
        kept = [
            (p / informative, (reward_C[i] - reward_C[j]) / 4 * (each_CP[i] - each_CP[j]))
            for p, (i, j) in ordered_pairs(world, question)
            if reward_C[i] != reward_C[j]
        ]
        mean_P = sum(p * g for p, g in kept)
        variance += sum(p * ((g - mean_P) ** 2).sum() for p, g in kept) / 4
        expected_P += mean_P / 2
    found, true_P = measure(world, plainly, group=2, samples=1000), truth(world, plainly)
    same(found, expected_P, true_P)
    signal = (expected_P @ true_P) ** 2 / (true_P @ true_P)
    assert found.completions == pytest.approx(sampled * variance / signal, rel=1e-9)


def test_masking_what_was_cut_leaves_those_completions_out(world: World) -> None:
    masked = estimator("RLOO, cut completions masked")
    reward_C = world.toy.rewards_CK[:, 0]
    weight_C = np.zeros(30)
    for question in (0, 1):
        for p, pair in ordered_pairs(world, question):
            kept = [c for c in pair if world.toy.ended_C[c]]
            for c in kept:
                other = pair[1] if c == pair[0] else pair[0]
                weight_C[c] += p * (reward_C[c] - reward_C[other]) / len(kept) / 2
    same(
        measure(world, masked, group=2, samples=1000), plain(world, weight_C), truth(world, masked)
    )


# ------------------------------------------------------------------------------- how it is shown


def test_the_page_has_every_row_and_loads_nothing(whole: Laboratory) -> None:
    page = render_laboratory(whole)
    assert page.count("<svg") == len(SECTIONS)
    for one in whole.rows:
        assert escape(one.name) in page
    assert "http:" not in page and "https:" not in page
    cells = {cells[0]: cells for cells in table_rows(list(whole.rows))}
    assert cells["RLOO"][1:4] == ("1.00", "0", "0")
    assert cells["k1 in the loss"][1:5] == ("0.00", "-", "1.00", "never")


def test_the_documentation_has_the_tables(whole: Laboratory) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "LABORATORY.md").read_text("utf-8")
    for section in SECTIONS:
        table = table_lines(results.COLUMNS, table_rows(whole.of(section)))
        assert "\n".join(table) in page, section


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group": 1}, "--group takes a number from 2 to 8, not 1"),
        ({"group": 9}, "--group takes"),
        ({"samples": 10}, "--samples takes a number from 1000"),
        ({"seed": -1}, "--seed takes"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run_laboratory(**settings)
