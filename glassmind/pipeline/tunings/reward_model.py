"""A reward model: learn from pairs to score a single answer.

    train_reward_model(recipe, Path("runs/preferred"), ...)
    load_reward_model("runs/preferred")                        (pipeline.reward_models)

The scorer is the model that training starts from, with a head above it that reads its hidden states
and how expected every token was (``model.TokenScorer``). Pairs are those of ``objective =
"preference"``. What held-out pairs tell is in ``reward-model-results.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from glassmind.errors import UserError
from glassmind.model import TokenScorer
from glassmind.pipeline.announcement import announce, training_work
from glassmind.pipeline.preferences.pairs import recipe_pairs
from glassmind.pipeline.preferences.reward_results import reward_model_result, summary
from glassmind.pipeline.preferences.rows import kept_rows, packed_pairs
from glassmind.pipeline.preferences.starting import Starting
from glassmind.pipeline.reward_models import STAGE, save_reward_model
from glassmind.pipeline.tuning import FineTuning, Tuning, publish
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import REWARD_MODEL
from glassmind.runs.recipe import Recipe
from glassmind.serialization import write_record
from glassmind.train import validation_loss
from glassmind.train.objectives.reward_model import BradleyTerry

RESULT = "reward-model-results.json"
MOST_LAYERS = 16


@dataclass(frozen=True)
class RewardModelOptions:
    """``[options]`` of a recipe with ``objective = "reward_model"``.

    ``train`` says what learns: all of the model, or only the head, whose depth is ``layers``.
    ``centre`` is the weight with which scores are kept near 0.
    """

    train: Literal["all", "head"] = "all"
    layers: int = 1
    centre: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.layers <= MOST_LAYERS:
            raise ValueError(f"layers must be from 0 to {MOST_LAYERS}, not {self.layers}")
        if not 0 <= self.centre <= 1e3:
            raise ValueError(f"centre must lie between 0 and 1000, not {self.centre}")


def train_reward_model(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a reward model on pairs. See ``Tune``."""
    options = RewardModelOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    if options.train == "head" and recipe.lora.rank:
        raise UserError('with lora.rank above 0 the model learns: set options.train to "all"')
    starting = Starting.of(recipe)
    recipe = starting.recipe
    found = recipe_pairs(starting, progress, paired=True)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if (run.path / REWARD_MODEL).is_file():
        return run
    starting.save_tokenizer(run)
    model = starting.model.to(device)
    rows, held_out = kept_rows(
        run, STAGE, lambda: packed_pairs(found.pairs(), recipe.train.row_tokens, unpaired=False)
    )
    tuning = Tuning(run, recipe, device, progress, STAGE)
    torch.manual_seed(recipe.seed)
    scorer = TokenScorer(model, options.layers).to(device)
    objective = BradleyTerry(
        scorer, centre=options.centre, train_trunk=options.train == "all" and not recipe.lora.rank
    )
    tuning.prepare(scorer)
    measured = 0 if held_out is None else held_out.ids.size
    work = training_work(recipe.train, measured, measured)
    announce(work, scorer, progress, "lower train.steps or give fewer preferences")
    validate = None
    if held_out is not None:
        validate = partial(validation_loss, objective, held_out, device)
    tuning.train(objective, tuning.loader(rows), validate)
    if held_out is not None:
        result = reward_model_result(scorer, held_out, device)
        write_record(run.path / RESULT, result)
        progress.end(summary(result))
    scorer.cpu()
    if starting.own is not None:
        save_reward_model(run, scorer, starting.own.tokenizer)
    else:
        assert starting.chat is not None
        trunk = replace(starting.pretrained, model=scorer.trunk, name=run.name)
        published = starting.chat.applied(trunk)
        publish(published, run)
        assert published.tokenizer is not None
        save_reward_model(run, scorer, published.tokenizer)
    tuning.forget_checkpoints()
    return run


FINE_TUNING = FineTuning(train_reward_model, RewardModelOptions)
