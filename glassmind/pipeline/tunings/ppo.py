"""Learning from rewards with a critic (PPO): reinforcement learning as it was done from human
preferences (Ouyang et al. 2022, arXiv 2203.02155).

Completions are sampled and rewarded as for ``grpo``, whose code this uses. A critic then says what
reward it expected before each token, so that a question needs only one completion
(``pipeline.rollouts.critic_source``), and ``train.objectives.ppo`` learns from the difference.
Policy, critic and reference are all in the checkpoints; the finished run has the policy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.model import ActorCritic
from glassmind.pipeline.rollouts.critic_options import PPOOptions
from glassmind.pipeline.rollouts.critic_source import CriticRollouts
from glassmind.pipeline.rollouts.learning import group_sampler, policy_options
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.tuning import FineTuning
from glassmind.pipeline.tunings.grpo import tune_on_rollouts
from glassmind.progress import Progress
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe
from glassmind.train import PPO
from glassmind.train.processes.process_group import ProcessGroup


def tune_with_critic(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model and a critic of it on rewards of its own chains. See ``FineTuning``."""
    options = PPOOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    if recipe.lora.rank and options.critic == "own":
        raise UserError(
            "with lora.rank, a critic with a transformer of its own would take the memory that "
            'LoRA saves: set options.critic to "shared"'
        )
    return tune_on_rollouts(
        recipe, folder, options, learning_with_critic, resume=resume, device=device,
        progress=progress,
    )  # fmt: skip


def learning_with_critic(
    llm: LocalLLM,
    problems: Sequence[Problem],
    rewards: Rewarding,
    recipe: Recipe,
    options: PPOOptions,
    folder: Path,
    progress: Progress,
    group: ProcessGroup,
) -> tuple[PPO, CriticRollouts]:
    """The objective and its batches, sampled from ``llm`` as its weights change.

    ``folder`` is the run's; ``problems`` are those that fit (``fitting``).
    """
    objective = PPO(
        ActorCritic(llm.model, own_trunk=options.critic == "own"),
        policy_options(recipe, options),
        value_weight=options.value_weight,
        value_clip=options.value_clip,
        temperature=recipe.sampling.temperature,
    )
    sampler = group_sampler(llm, problems, rewards, recipe, options, progress)
    return objective, CriticRollouts(llm, sampler, objective, recipe, options, folder, group)


FINE_TUNING = FineTuning(tune_with_critic, PPOOptions)
