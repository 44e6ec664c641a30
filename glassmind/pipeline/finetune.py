"""Fine-tuning: train a finished model further.

``start`` in a recipe names the model: a run, the model that comes with the package, a folder of
Hugging Face, a GGUF file. Then any objective trains it further, all of it, part of it
(``finetune.freeze``), or a low-rank change of it (``lora``):

    pretrain   more text                           (pipeline/continued_training.py)
    sft        problems in our own format          (the same; for a model of our own)
    chat       conversations                       (pipeline/chat_tuning.py)
    classify   texts with labels                   (pipeline/classify.py)

A model of our own that is trained on problems or text is saved as before. One that has learned to
chat or to classify is saved as a folder of Hugging Face, right in the run's folder, with every
change merged into the weights: the run can be asked, converted, started from again, and opened by
other programs.
"""

from __future__ import annotations

from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.pipeline.chat_tuning import tune_chats
from glassmind.pipeline.classify import train_classifier
from glassmind.pipeline.continued_training import continue_pretraining, tune_on_problems
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe

TUNINGS = {
    "pretrain": continue_pretraining,
    "sft": tune_on_problems,
    "chat": tune_chats,
    "classify": train_classifier,
}


def fine_tune(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train the model at ``recipe.start`` further, into the run ``folder``.

    Raises:
        UserError: there is no such model, it or the data cannot be used for the objective, or
            ``folder`` holds something else.
    """
    if not recipe.start:
        what = "lora.rank is for" if recipe.lora.rank else f"objective {recipe.objective!r} needs"
        raise UserError(
            f"{what} a finished model to start from: set start to a run's folder, a Hugging Face "
            "folder, a .gguf file, smollm2 or word-problems"
        )
    tune = TUNINGS[recipe.objective]
    return tune(recipe, folder, resume=resume, device=device, progress=progress)
