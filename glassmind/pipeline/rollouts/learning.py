"""The parts of learning from reward put together: for ``tunings.grpo``, with a critic for
``tunings.ppo``, and for the last rung of a ladder (``pipeline.reinforce``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from glassmind.data.problems.curriculum import make_curriculum
from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.options import GRPOOptions, RolloutOptions
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.source import Rollouts
from glassmind.progress import Progress
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Problem
from glassmind.runs.recipe import Recipe
from glassmind.train import GRPO, Objective
from glassmind.train.processes.process_group import ProcessGroup

AnyOptions = TypeVar("AnyOptions", bound=RolloutOptions)
Options_contra = TypeVar("Options_contra", bound=RolloutOptions, contravariant=True)


class Learning(Protocol[Options_contra]):
    """Makes an objective, and the source of its batches; ``reward_learning`` is one."""

    def __call__(
        self,
        llm: LocalLLM,
        problems: Sequence[Problem],
        rewards: Rewarding,
        recipe: Recipe,
        options: Options_contra,
        folder: Path,
        progress: Progress,
        group: ProcessGroup,
    ) -> tuple[Objective, Rollouts]: ...


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
    )


def reward_learning(
    llm: LocalLLM,
    problems: Sequence[Problem],
    rewards: Rewarding,
    recipe: Recipe,
    options: GRPOOptions,
    folder: Path,
    progress: Progress,
    group: ProcessGroup,
) -> tuple[GRPO, Rollouts]:
    """The objective and its batches, sampled from ``llm`` as its weights change.

    ``folder`` is the run's; ``problems`` are those that fit (``fitting``).
    """
    policy = policy_options(recipe, options)
    objective = GRPO(llm.model, policy, temperature=recipe.sampling.temperature)
    sampler = group_sampler(llm, problems, rewards, recipe, options, progress)
    return objective, Rollouts(llm, sampler, objective, recipe, options, folder, group)


def policy_options(recipe: Recipe, options: AnyOptions) -> AnyOptions:
    """The options with the constant length written out."""
    longest = recipe.sampling.max_new_tokens
    return replace(options, constant_length=options.constant_length or longest)


def group_sampler(
    llm: LocalLLM,
    problems: Sequence[Problem],
    rewards: Rewarding,
    recipe: Recipe,
    options: RolloutOptions,
    progress: Progress,
) -> GroupSampler:
    """Draws the problems and samples their groups."""
    curriculum = make_curriculum(options.curriculum, problems, recipe.seed)
    alarm = DriftAlarm(recipe.sampling, progress)
    return GroupSampler(llm, curriculum, rewards, recipe, options.group, alarm)


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
    if sampling.top_k or sampling.top_p < 1:
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


def fitting(
    llm: LocalLLM, problems: Sequence[Problem], recipe: Recipe, progress: Progress
) -> list[Problem]:
    """The problems whose question and one chain of full length fit into a row.

    Raises:
        UserError: there are none.
    """
    room = recipe.train.row_tokens - recipe.sampling.max_new_tokens

    def fits(question: str) -> bool:
        shorter = len(question) <= llm.longest_text  # a longer one has no prompt
        return shorter and len(llm.prompt(question, llm.style)) <= room

    fitting = [problem for problem in problems if fits(problem.question)]
    if not fitting:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) must hold a question and a chain of "
            f"sampling.max_new_tokens ({recipe.sampling.max_new_tokens}), and it is too short for "
            "every problem: raise it"
        )
    if len(fitting) < len(problems):
        progress.end(
            f"{len(problems) - len(fitting):,} of {len(problems):,} problems are left out: "
            "question and chain would not fit into train.row_tokens"
        )
    return fitting
