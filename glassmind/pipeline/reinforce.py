"""The last rung of a ladder: the chain-of-thought model goes on to learn from reward.

What ``glassmind train grpo`` does with a finished run (``tunings.grpo``), as a stage of the ladder,
so that the model before and after answer the same problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.pipeline.convert import is_own
from glassmind.pipeline.finetune import with_all_options
from glassmind.pipeline.rollouts.learning import (
    check_recipe,
    fitting,
    reward_learning,
    rewarding,
)
from glassmind.pipeline.rollouts.options import GRPOOptions
from glassmind.pipeline.stages import Job, fresh_model, loaded_transformer, stage_llm
from glassmind.records import Problem
from glassmind.runs.models import REINFORCED, save_model
from glassmind.runs.recipe import Recipe
from glassmind.runs.weights import load_weights, named_weights
from glassmind.train import Trainer


def reinforce_recipe(recipe: Recipe) -> Recipe:
    """The recipe that ``glassmind train grpo`` would need for this stage.

    Raises:
        UserError: an option is unknown or has a value that cannot be used.
    """
    config = recipe.reinforce
    sampling = replace(recipe.sampling, temperature=config.temperature)
    return with_all_options(
        replace(
            recipe,
            objective="grpo",
            options=config.options,
            train=config.train,
            sampling=sampling,
        )
    )


def check_reinforcing(recipe: Recipe) -> None:
    """Refuse what the stage cannot do before hours of training.

    Raises:
        UserError: its options or its sampling cannot be used, or the ladder's model is not one of
            Glassmind's own.
    """
    if not recipe.reinforce.on:
        return
    if recipe.start and not is_own(recipe.start):
        raise UserError(
            "reinforce.on is for ladders of Glassmind's own models: set it to false, and train the "
            "finished run further with glassmind train grpo --set start=RUN"
        )
    made = reinforce_recipe(recipe)
    if made.train.row_tokens > recipe.model.max_tokens:
        raise UserError(
            f"reinforce.train.row_tokens ({made.train.row_tokens}) exceeds model.max_tokens "
            f"({recipe.model.max_tokens}): lower it"
        )
    check_recipe(made, GRPOOptions(**made.options))  # type: ignore[arg-type]  # decoded


def reinforce(job: Job, llm: LocalLLM, train: Sequence[Problem]) -> LocalLLM:
    """Train (or resume, or load) a copy of ``llm`` on rewards of its own chains.

    Raises:
        UserError: the stage's settings cannot be used, or a reward fails.
    """
    if not job.done(REINFORCED):
        recipe = reinforce_recipe(job.recipe)
        options = GRPOOptions(**recipe.options)  # type: ignore[arg-type]  # decoded above
        model = fresh_model(job)
        load_weights(model, named_weights(llm.model), "the chain-of-thought model")
        policy = replace(stage_llm(job, REINFORCED, model, "chain"), scorer=llm.scorer)
        rewards = rewarding(policy, recipe, options)
        with job.timed(REINFORCED):
            objective, source = reward_learning(
                policy,
                fitting(policy, train, recipe, job.progress),
                rewards,
                recipe,
                options,
                job.run.path,
                job.progress,
                job.group,
            )
            Trainer(
                objective,
                source,
                recipe.train,
                stage=REINFORCED,
                folder=job.run.path,
                device=job.device,
                progress=job.progress,
                observe=source.observe,
                group=job.group,
            ).train()
            save_model(job.run.model_folder(REINFORCED), model, job.tokenizer, REINFORCED)
            job.forget_checkpoints(REINFORCED)
    finished = stage_llm(job, REINFORCED, loaded_transformer(job, REINFORCED), "chain")
    return replace(finished, scorer=llm.scorer)
