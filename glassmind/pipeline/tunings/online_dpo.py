"""Online DPO: preferences between what the model writes now (Guo et al. 2024, arXiv 2402.04792).

Every step samples ``sampling.samples`` chains for each of ``questions`` problems with the current
weights. The chain with the highest reward (``preferences.reward``) is preferred to the one with the
lowest, and the loss is DPO's or that of a relative. The reference is the model that training starts
from. A reward model may be the judge: ``preferences.reward = "reward-model"``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from glassmind.data.problems.curriculum import InTurn
from glassmind.errors import UserError
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.preferences.fresh import FreshPairs
from glassmind.pipeline.preferences.sampled import pair_rewarding
from glassmind.pipeline.preferences.starting import Starting, questions_of
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.tuning import FineTuning, Tuning
from glassmind.pipeline.tunings.preference import refuse_dropout
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.train.objectives.preference import PreferenceTuning
from glassmind.train.objectives.preference_losses import PreferenceLoss


@dataclass(frozen=True)
class OnlineOptions(PreferenceLoss):
    """``[options]`` of a recipe with ``objective = "online_dpo"``: the loss, its numbers, and the
    number of ``questions`` of a step."""

    questions: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss == "kto":
            raise ValueError("fresh pairs are compared, and kto judges single answers: choose dpo")
        if not 1 <= self.questions <= 100_000:
            raise ValueError(f"questions must be from 1 to 100000, not {self.questions}")


def tune_online(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model on preferences between its own fresh samples. See ``Tune``."""
    options = OnlineOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    refuse_dropout(recipe, options)
    _check_recipe(recipe)
    starting = Starting.of(recipe)
    recipe, llm = starting.recipe, starting.llm
    rewarding = pair_rewarding(llm, recipe)
    slices = make_slices(recipe, progress)
    problems = questions_of(slices.train, starting)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if starting.is_saved(run):
        return run
    starting.save_tokenizer(run)
    if starting.own is not None:
        save_familiarity(run.path / "familiarity.json", slices.train)
    model = starting.model.to(device)
    reference = None
    if options.needs_reference:
        reference = copy.deepcopy(model).requires_grad_(False)
    tuning = Tuning(run, recipe, device, progress, starting.stage)
    tuning.prepare(model)
    alarm = DriftAlarm(recipe.sampling, progress)
    order = InTurn(problems, recipe.seed)
    sampler = GroupSampler(llm, order, rewarding, recipe, recipe.sampling.samples, alarm)
    source = FreshPairs(sampler, options.questions, reference, recipe.train.row_tokens, device)
    tuning.train(PreferenceTuning(model, options), source, observe=source.observe)
    starting.save(run)
    tuning.forget_checkpoints()
    return run


def _check_recipe(recipe: Recipe) -> None:
    if recipe.preferences.file:
        raise UserError(
            "online_dpo makes its own pairs: leave out preferences.file, or set objective to "
            "preference"
        )
    if recipe.sampling.temperature == 0 or recipe.sampling.samples < 2:
        raise UserError(
            "sampling.samples must be 2 or more, at a sampling.temperature above 0, so that there "
            "are different chains to compare"
        )


FINE_TUNING = FineTuning(tune_online, OnlineOptions)
