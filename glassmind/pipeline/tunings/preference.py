"""Learning from preferences: of two answers, make the better one likelier than the worse.

The loss is DPO or one of its relatives (``train.objectives.preference_losses``). Preferences come
from a file, are constructed for the recipe's problems, or are pairs of the model's own samples
(``[preferences]`` of a recipe).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.announcement import announce, training_work
from glassmind.pipeline.preferences.pairs import recipe_pairs
from glassmind.pipeline.preferences.results import measured_pairs, preference_result, summary
from glassmind.pipeline.preferences.rows import Kept, kept_rows, packed_pairs
from glassmind.pipeline.preferences.starting import Starting, reference_of
from glassmind.pipeline.tuning import FineTuning, Tuning
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.serialization import write_record
from glassmind.train import validation_loss
from glassmind.train.objectives.preference import PreferenceTuning, with_reference
from glassmind.train.objectives.preference_losses import PreferenceLoss

RESULT = "preferences.json"


@dataclass(frozen=True)
class PreferenceOptions(PreferenceLoss):
    """``[options]`` of a recipe with ``objective = "preference"``: the loss, its numbers, and the
    ``reference`` model, by default the model that training starts from."""

    reference: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference and not self.needs_reference:
            raise ValueError(f"{self.loss} has no reference: leave out reference")


def tune_by_preference(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model on preferences. See ``Tune``."""
    options = PreferenceOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    refuse_dropout(recipe, options)
    starting = Starting.of(recipe)
    recipe = starting.recipe
    found = recipe_pairs(starting, progress, paired=options.needs_pairs)
    reference = reference_of(starting, options.reference) if options.needs_reference else None
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if starting.is_saved(run):
        return run
    starting.save_tokenizer(run)
    if starting.own is not None and found.problems is not None:
        save_familiarity(run.path / "familiarity.json", found.problems.train)
    model = starting.model.to(device)

    def make() -> Kept:
        rows, held_out = packed_pairs(
            found.pairs(), recipe.train.row_tokens, unpaired=not options.needs_pairs
        )
        if reference is None:
            return rows, held_out
        scored = partial(with_reference, reference.to(device), device=device)
        return scored(rows=rows), None if held_out is None else scored(rows=held_out)

    rows, held_out = kept_rows(run, starting.stage, make)
    tuning = Tuning(run, recipe, device, progress, starting.stage)
    tuning.prepare(model)
    objective = PreferenceTuning(model, options)
    train_and_compare(tuning, objective, rows, held_out)
    starting.save(run)
    tuning.forget_checkpoints()
    return run


def train_and_compare(
    tuning: Tuning, objective: PreferenceTuning, rows: PackedRows, held_out: PackedRows | None
) -> None:
    """Train on ``rows``; write what changed on held-out pairs to ``preferences.json``."""
    device, config = tuning.device, tuning.recipe.train
    measured = 0 if held_out is None else held_out.ids.size
    announce(
        training_work(config, measured, measured),
        objective.module,
        tuning.progress,
        "lower train.steps or give fewer preferences",
    )
    before = measured_pairs(objective, held_out, device)
    validate = None
    if held_out is not None:
        validate = partial(validation_loss, objective, held_out, device)
    tuning.train(objective, tuning.loader(rows), validate)
    after = measured_pairs(objective, held_out, device)  # of the merged weights
    if before is not None and after is not None:
        result = preference_result(objective.options.loss, before, after)
        write_record(tuning.run.path / RESULT, result)
        tuning.progress.end(summary(result))


def refuse_dropout(recipe: Recipe, options: PreferenceLoss) -> None:
    """Refuse a dropout that would make a model differ from itself as a reference."""
    if recipe.lora.dropout and options.needs_reference:
        raise UserError(
            f"lora.dropout ({recipe.lora.dropout:g}) makes log-probabilities random, and "
            f"{options.loss} compares them with those of the reference: set it to 0"
        )


FINE_TUNING = FineTuning(tune_by_preference, PreferenceOptions)
