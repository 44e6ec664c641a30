"""Sets of samples: what is drawn, rewarded, packed, logged, and divided into steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pytest
import torch
from random_scorer import random_scorer
from reward_runs import TINY
from untrained_runs import TEXTS, untrained_run

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.problems.curriculum import CurriculumName, make_curriculum
from glassmind.errors import UserError
from glassmind.generate import Generation
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts import rewarding as rewarding_file
from glassmind.pipeline.rollouts.documents import rows_of_groups
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.options import GRPOOptions
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.source import Rollouts
from glassmind.progress import Silent
from glassmind.reason.reward import Reward
from glassmind.reason.reward_sum import RewardSum, parse_reward
from glassmind.reason.verify import score_traces
from glassmind.records import Completion, Problem, Trace
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, SamplingConfig, TrainConfig
from glassmind.runs.reward_groups import read_groups
from glassmind.train import GRPO, to_batch
from glassmind.train.gradients import accumulate_gradients
from glassmind.train.objectives.grpo import ADVANTAGE, FIRST_PASS, OLD_LOGPROB, SAMPLED_LOGPROB
from glassmind.train.processes.process_group import ProcessGroup

LONGEST, ROW = 10, 128
PROBLEMS = [Problem(f"p-{n}", f"{TEXTS[0][:30]} {n}?", str(n)) for n in range(6)]
RECIPE = Recipe(
    train=TrainConfig(row_tokens=ROW, precision="float32", compile="off"),
    sampling=SamplingConfig(temperature=1.0, max_new_tokens=LONGEST),
)
CPU = torch.device("cpu")


def _even(problem: Problem, completion: Completion) -> float:
    return sum(token % 2 == 0 for token in completion.token_ids) / LONGEST


EVEN = RewardSum((Reward("even", "even tokens", "The number of even tokens.", _even),), (1.0,))


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LocalLLM:
    folder = tmp_path_factory.mktemp("start") / "run"
    untrained_run(folder, "chain-of-thought", TINY)
    # One token in twelve ends a chain, so that some end before the limit and some do not.
    return replace(LocalLLM.of_run(load(folder), "start"), stop_ids=frozenset(range(3, 300, 12)))


def sampler_of(
    llm: LocalLLM,
    reward: RewardSum = EVEN,
    *,
    overlong: int = 0,
    size: int = 4,
    curriculum: CurriculumName = "uniform",
) -> GroupSampler:
    rewarding = Rewarding.of(llm, reward, seconds=60, overlong=overlong, most_tokens=LONGEST)
    alarm = DriftAlarm(RECIPE.sampling, Silent())
    order = make_curriculum(curriculum, PROBLEMS, RECIPE.seed)
    return GroupSampler(llm, order, rewarding, RECIPE, size, alarm)


def source_of(llm: LocalLLM, folder: Path, options: GRPOOptions, *, accumulate: int = 1,
              group: ProcessGroup | None = None) -> Rollouts:  # fmt: skip
    recipe = replace(RECIPE, train=replace(RECIPE.train, accumulate=accumulate))
    objective = GRPO(llm.model, options)
    sampler = sampler_of(llm, overlong=options.overlong, size=options.group)
    return Rollouts(llm, sampler, objective, recipe, options, folder, group or ProcessGroup())


SMALL = GRPOOptions(questions=3, group=4)

# ------------------------------------------------------------------ what is drawn


class Chosen:
    """Rewards that are given: a list for each problem drawn, in the order of the draws."""

    def __init__(self, *groups: Sequence[float]) -> None:
        self.given = iter(groups)
        self.problems: list[str] = []
        self.names, self.weights = ("given",), (1.0,)

    def groups(self, problems: Sequence[Problem], traces: Sequence[Trace]) -> list[Group]:
        self.problems += [problem.id for problem in problems]
        return [
            Group(p, (1,), t.completions, np.array([next(self.given)]).T, (False,) * 2)
            for p, t in zip(problems, traces, strict=True)
        ]


def drawn(
    llm: LocalLLM, *groups: Sequence[float], questions: int, resample: int
) -> list[list[str]]:
    sampler = sampler_of(llm, size=2)
    chosen = Chosen(*groups)
    sampler.rewarding = cast(Rewarding, chosen)
    found = sampler.draw(questions, resample)
    assert sampler.drawn == len(chosen.problems)
    assert [group.problem.id for group in found.all] == chosen.problems
    numbers = {id(group): number for number, group in enumerate(found.all)}
    return [numbers[id(group)] for group in found.kept]


SAME, DIFFERENT = (1.0, 1.0), (0.0, 1.0)


def test_groups_without_differences_are_drawn_again(llm: LocalLLM) -> None:
    groups = (SAME, DIFFERENT, SAME, DIFFERENT, SAME, DIFFERENT)
    assert drawn(llm, *groups, questions=3, resample=3) == [1, 3, 5]  # two again, and then one
    # Fewer to learn from, if the rounds are used up; nothing, if none differs; or all as they are.
    assert drawn(llm, SAME, DIFFERENT, SAME, SAME, SAME, questions=3, resample=1) == [1]
    assert drawn(llm, SAME, SAME, SAME, SAME, questions=2, resample=1) == [0, 1]
    assert drawn(llm, SAME, DIFFERENT, questions=2, resample=0) == [0, 1]


@pytest.mark.parametrize("curriculum", get_args(CurriculumName))
def test_a_draw_depends_on_the_saved_state_alone(
    llm: LocalLLM, curriculum: CurriculumName, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some answers are right, so that there is something to estimate.
    monkeypatch.setattr(rewarding_file.answer, "score", lambda p, c: float(c.token_ids[0] % 2))
    first, second = (sampler_of(llm, curriculum=curriculum) for _ in range(2))
    first.draw(2)
    first.draw(4)
    second.restore(json.loads(json.dumps(first.state())))
    one, two = first.draw(3).kept, second.draw(3).kept
    assert first.state() == second.state()
    assert [g.problem for g in one] == [g.problem for g in two]
    assert [c.token_ids for g in one for c in g.completions] == [
        c.token_ids for g in two for c in g.completions
    ]


# ------------------------------------------------------------------ how it is rewarded


def completion(llm: LocalLLM, n_tokens: int, *, cut: bool = False) -> Completion:
    ids = tuple(range(20, 20 + n_tokens))
    logprobs = tuple(-0.1 * n for n in range(n_tokens))
    generation = Generation(ids, logprobs, "length" if cut else "stop", sampled_logprobs=logprobs)
    return Trace.of_chains("p-0", [llm.nodes((1,), generation, "chain")]).completions[0]


def test_the_soft_penalty_grows_up_to_the_limit(llm: LocalLLM) -> None:
    rewarding = sampler_of(llm, overlong=4).rewarding
    chains = [completion(llm, n) for n in (1, 6, 7, 8, 10)]
    trace = Trace.of_chains("p-0", [chain.nodes for chain in chains])
    [group] = rewarding.groups(PROBLEMS[:1], [trace])
    assert rewarding.names == ("even", "overlong")
    assert group.rewards_GK[:, 1].tolist() == [0.0, 0.0, -0.25, -0.5, -1.0]
    assert group.rewards_GK[:, 0].tolist() == [0.1, 0.3, 0.4, 0.4, 0.5]


def test_a_verifier_can_be_the_reward(llm: LocalLLM) -> None:
    with pytest.raises(UserError, match="needs a verifier, and start has none: start from a run"):
        sampler_of(llm, parse_reward("verifier"))
    scorer = random_scorer(llm.model.config.vocab_size)
    judged = llm.with_scorer(scorer)
    sampler = sampler_of(judged, parse_reward("answer + 0.5 * verifier"))
    found = sampler.draw(2).kept
    problems = [group.problem for group in found]
    traces = [group.completions[0].trace for group in found]
    again = score_traces(
        scorer, llm.tokenizer, problems, traces, prompt=lambda q: llm.prompt(q, "chain")
    )
    for group, trace in zip(found, again, strict=True):
        assert group.rewards_GK[:, 1].tolist() == [one.score for one in trace.completions]
        assert group.rewards_GK[:, 0].tolist() == [float(right) for right in group.right]


# ------------------------------------------------------------------ what becomes of it


def test_rows_hold_what_was_sampled(llm: LocalLLM, tmp_path: Path) -> None:
    source = source_of(llm, tmp_path, replace(SMALL, mask_truncated=True))
    rows = source.next()
    assert source.set is not None
    groups = sampler_of(llm).draw(3).kept  # the same again
    chains = [one for group in groups for one in group.completions]
    numbers = rows[FIRST_PASS]
    own = numbers >= 0
    order = np.argsort(numbers[own])
    whole = [chain for chain in chains if chain.finish == "stop"]
    assert 0 < len(whole) < len(chains)
    assert rows.ids[own][order].tolist() == [t for chain in whole for t in chain.token_ids]
    drawn = [x for chain in whole for node in chain.nodes for x in node.sampled_logprobs]
    for column in (SAMPLED_LOGPROB, OLD_LOGPROB):
        np.testing.assert_array_equal(rows[column][own][order], np.array(drawn, np.float32))
    np.testing.assert_array_equal(rows[COMPLETION], own)  # what was cut off is not learned
    advantages = []
    for group in groups:
        r = np.array([_even(group.problem, one) for one in group.completions])
        for a, one in zip((r - r.mean()) / (r.std(ddof=1) + 1e-4), group.completions, strict=True):
            advantages += [a] * (len(one.token_ids) if one.finish == "stop" else 0)
    np.testing.assert_allclose(rows[ADVANTAGE][own][order], advantages, rtol=1e-5)
    figures = source.set.figures
    assert figures["truncated"] == pytest.approx(1 - len(whole) / len(chains))
    assert figures["length"] == pytest.approx(np.mean([len(c.token_ids) for c in chains]))
    assert figures["reward_even"] == pytest.approx(
        np.mean([_even(g.problem, c) for g in groups for c in g.completions])
    )
    assert (figures["solve_rate"], figures["informative"], figures["groups"]) == (0.0, 1.0, 3.0)


def test_completions_without_a_token(llm: LocalLLM) -> None:
    """They count in their group, and take no place in a row."""
    chains = [completion(llm, n, cut=n == 0) for n in (3, 0, 2)]
    trace = Trace.of_chains("p-0", [chain.nodes for chain in chains])
    [group] = sampler_of(llm).rewarding.groups(PROBLEMS[:1], [trace])
    rows = rows_of_groups([group], np.array([[1.0, 2.0, 3.0]]), ROW, 1)
    own = rows[FIRST_PASS] >= 0
    assert rows.ids[own].tolist() == [20, 21, 22, 20, 21]
    assert rows[FIRST_PASS][own].tolist() == [0, 1, 2, 3, 4]
    assert rows[ADVANTAGE][own].tolist() == [1.0, 1.0, 1.0, 3.0, 3.0]
    empty = Trace.of_chains("p-0", [chains[1].nodes] * 2)
    with pytest.raises(UserError, match="none of the completions of 1 questions has a token"):
        rows_of_groups(
            sampler_of(llm).rewarding.groups(PROBLEMS[:1], [empty]), np.zeros((1, 2)), ROW, 1
        )


@pytest.mark.parametrize("normalisation", ["token", "sequence", "constant"])
def test_accumulated_parts_give_the_update_of_the_whole_set(
    normalisation: str, llm: LocalLLM, tmp_path: Path
) -> None:
    """Token counts are those of the whole step, however unevenly the parts divide it."""
    options = replace(SMALL, normalisation=normalisation, constant_length=LONGEST)
    gradients = []
    for accumulate in (1, 3, 7):  # there are fewer than seven rows
        source = source_of(llm, tmp_path, options, accumulate=accumulate)
        rows = [source.next() for _ in range(accumulate)]
        assert source.left == 0
        batches = [to_batch(part, CPU) for part in rows]
        llm.model.zero_grad()
        autocast = torch.autocast("cpu", enabled=False)
        accumulate_gradients(source.objective, batches, ProcessGroup(), autocast)
        gradients.append(torch.cat([p.grad.flatten() for p in llm.model.parameters()
                                    if p.grad is not None]))  # fmt: skip
    llm.model.zero_grad()
    assert gradients[0].abs().max() > 1e-3
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-4, atol=1e-6)


def test_later_passes_compare_with_the_first(llm: LocalLLM, tmp_path: Path) -> None:
    options = replace(SMALL, passes=2, old="trainer")
    source = source_of(llm, tmp_path, options)
    first = source.next()
    source.objective.loss(to_batch(first, CPU))
    saved = source.state()
    second = source.next()
    assert (second[FIRST_PASS] == -1).all()
    own = first[COMPLETION]
    assert source.set is not None
    np.testing.assert_array_equal(
        second[OLD_LOGPROB][own], source.set.logprobs[first[FIRST_PASS][own]]
    )
    np.testing.assert_allclose(second[OLD_LOGPROB][own], first[SAMPLED_LOGPROB][own], atol=1e-4)
    restored = source_of(llm, tmp_path, options)
    restored.restore(saved)
    again = restored.next()
    assert restored.left == 0
    for column in (COMPLETION, ADVANTAGE, SAMPLED_LOGPROB, OLD_LOGPROB, FIRST_PASS):
        np.testing.assert_array_equal(again[column], second[column])
    assert restored.observe(2).keys() == source.observe(2).keys()


@pytest.mark.parametrize("place", ["loss", "reward"])
def test_a_logged_group_says_what_its_loss_followed_from(
    place: str, llm: LocalLLM, tmp_path: Path
) -> None:
    options = replace(SMALL, kl=0.5, kl_place=place, kl_estimator="k1", advantage="dr-grpo")
    source = source_of(llm, tmp_path, options)
    assert source.objective.reference is not None
    with torch.no_grad():
        for weight in source.objective.reference.parameters():
            weight.mul_(0.9)
    _, found = source.objective.loss(to_batch(source.next(), CPU))
    figures = source.observe(1)
    [group] = read_groups(tmp_path)
    rewards = []
    for one in group.completions:
        assert len(one.pieces) == len(one.ids) == len(one.logprobs)
        assert one.reference_logprobs is not None and all(one.written)
        np.testing.assert_allclose(one.logprobs, one.sampled_logprobs, atol=1e-4)
        far = [p - q for p, q in zip(one.sampled_logprobs, one.reference_logprobs, strict=True)]
        assert max(map(abs, far)) > 1e-3
        if place == "reward":
            assert one.rewards["kl"] == pytest.approx(sum(far), abs=1e-4)
            assert one.reward == pytest.approx(one.rewards["even"] - 0.5 * sum(far), abs=1e-4)
        rewards.append(one.reward)
    mean = sum(rewards) / len(rewards)
    for one in group.completions:
        assert one.advantage == pytest.approx(one.reward - mean, abs=1e-6)
    assert (figures if place == "reward" else found)["kl"] > 0
    assert (group.step, group.problem, group.answer) == (1, group.problem, group.problem[2:])
    assert {"sampling_tokens_per_second", "learning_tokens_per_second"} <= figures.keys()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"group": 1}, "group must be 2"),
        ({"resample": -1}, "resample must be at least 0"),
        ({"reward_seconds": 0.0}, "reward_seconds"),
        ({"advantage": "gdpo", "kl": 0.1, "kl_place": "reward"}, 'set kl_place = "loss"'),
    ],
)
def test_options_that_make_no_sense(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GRPOOptions(**settings)  # type: ignore[arg-type]
