"""Learning from rewards with a critic (PPO): reinforcement learning as it was done from human
preferences (Ouyang et al. 2022, arXiv 2203.02155).

Completions are sampled and rewarded as for ``grpo``, whose code this uses. A critic then says what
reward it expected before each token, so that a question needs only one completion
(``pipeline.rollouts.critic_source``), and ``train.objectives.ppo`` learns from the difference.
Policy, critic and reference are all in the checkpoints; the finished run has the policy alone.
"""

from __future__ import annotations

from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.model import ActorCritic
from glassmind.pipeline.rollouts.critic_options import PPOOptions
from glassmind.pipeline.rollouts.critic_source import CriticRollouts
from glassmind.pipeline.rollouts.learning import Sampling
from glassmind.pipeline.rollouts.source import Rollouts
from glassmind.pipeline.tuning import FineTuning
from glassmind.pipeline.tunings.grpo import tune_on_rollouts
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe
from glassmind.train import PPO, Objective


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
        recipe, folder, options, _with_critic, resume=resume, device=device, progress=progress
    )


def _with_critic(sampling: Sampling, options: PPOOptions) -> tuple[Objective, Rollouts]:
    """PPO's objective, and the source of its batches."""
    recipe = sampling.recipe
    objective = PPO(
        ActorCritic(sampling.llm.model, own_trunk=options.critic == "own"),
        options,
        value_weight=options.value_weight,
        value_clip=options.value_clip,
        temperature=recipe.sampling.temperature,
    )
    source = CriticRollouts(
        sampling.llm, sampling.sampler, objective, recipe, options, sampling.folder,
        sampling.group, sampling.watched,
    )  # fmt: skip
    return objective, source


FINE_TUNING = FineTuning(tune_with_critic, PPOOptions)
