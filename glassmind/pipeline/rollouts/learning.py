"""The parts of learning from reward put together: for ``tunings.grpo`` and ``ppo``, and for the
last rung of a ladder (``pipeline.reinforce``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from glassmind.data.problems.curriculum import make_curriculum
from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.options import GRPOOptions, RolloutOptions
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.source import Rollouts
from glassmind.pipeline.rollouts.watched import WatchedProblems
from glassmind.progress import Progress
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Problem
from glassmind.runs.recipe import Recipe
from glassmind.train import GRPO
from glassmind.train.processes.process_group import ProcessGroup

AnyOptions = TypeVar("AnyOptions", bound=RolloutOptions)


def rewarding(llm: LocalLLM, recipe: Recipe, options: RolloutOptions) -> Rewarding:
    """How completions of ``llm`` are rewarded.

    Raises:
        UserError: there is no such reward, or no judge that it needs.
    """
    return Rewarding.of(
        llm,
        parse_reward(options.reward),
        seconds=options.reward_seconds,
        overlong=options.overlong,
        most_tokens=recipe.sampling.max_new_tokens,
        reward_model=options.reward_model,
    )


@dataclass(frozen=True)
class Sampling:
    """What a learner is made of: the model that samples and is trained, and where its completions
    come from. ``folder`` is the run's."""

    llm: LocalLLM
    sampler: GroupSampler
    recipe: Recipe
    folder: Path
    group: ProcessGroup
    watched: WatchedProblems


def sampling_of(
    llm: LocalLLM,
    problems: Sequence[Problem],
    rewards: Rewarding,
    recipe: Recipe,
    options: RolloutOptions,
    folder: Path,
    progress: Progress,
    group: ProcessGroup,
    held_out: Sequence[Problem],
) -> Sampling:
    """Completions of ``problems``, which fit into a row (``sampled_chains``), sampled from ``llm``
    as its weights change. The first ``options.watch`` problems of ``held_out`` are watched."""
    alarm = DriftAlarm(recipe.sampling, progress)
    curriculum = make_curriculum(options.curriculum, problems, recipe.seed)
    sampler = GroupSampler(llm, curriculum, rewards, recipe, options.group, alarm)
    watch = held_out[: options.watch] if group.is_first else ()
    watched = WatchedProblems(llm, watch, recipe.sampling, folder)
    return Sampling(llm, sampler, recipe, folder, group, watched)


def with_length(options: AnyOptions, recipe: Recipe) -> AnyOptions:
    """The options with the length that the normalisation *constant* divides by."""
    longest = recipe.sampling.max_new_tokens
    return replace(options, constant_length=options.constant_length or longest)


def by_groups(sampling: Sampling, options: GRPOOptions) -> tuple[GRPO, Rollouts]:
    """GRPO's objective, and the source of its batches."""
    recipe = sampling.recipe
    objective = GRPO(sampling.llm.model, options, temperature=recipe.sampling.temperature)
    source = Rollouts(
        sampling.llm, sampling.sampler, objective, recipe, options, sampling.folder,
        sampling.group, sampling.watched,
    )  # fmt: skip
    return objective, source


def check_recipe(recipe: Recipe, options: RolloutOptions) -> None:
    """Refuse settings that sample from another distribution than the one that is trained, those
    that cannot work, and those that would do nothing.

    Raises:
        UserError: one of them was found.
    """
    parse_reward(options.reward)
    sampling = recipe.sampling
    if sampling.temperature == 0:
        raise UserError("sampling.temperature is 0, which makes all chains equal: raise it")
    if (sampling.top_k or sampling.top_p < 1) and not options.allow_cut:
        raise UserError(
            "sampling.top_k and sampling.top_p leave tokens out, so chains would be drawn from "
            "another distribution than the one that is trained: set them to 0 and 1"
        )
    if recipe.lora.dropout:
        raise UserError(
            "lora.dropout would train another distribution than the one that chains are drawn "
            "from: set it to 0"
        )
    if options.overlong > sampling.max_new_tokens:
        raise UserError(
            f"options.overlong ({options.overlong}) is more than sampling.max_new_tokens "
            f"({sampling.max_new_tokens}): lower it"
        )
    if recipe.train.row_tokens <= sampling.max_new_tokens:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) must hold a question and a chain of "
            f"sampling.max_new_tokens ({sampling.max_new_tokens}): raise it"
        )
    if recipe.train.parallel == "fsdp":
        raise UserError(
            "train.parallel is fsdp, with which no process has the whole model to sample with: set "
            "it to ddp"
        )
