"""Fine-tuning: train a finished model further.

``start`` in a recipe names the model: a run, the model that comes with the package, a Hugging Face
folder, or a GGUF file. ``objective`` names how it is trained and is one of the files of
``tunings``. All of the model is trained, part of it (``finetune.freeze``), or a low-rank change of
it (``lora``).

Glassmind's own models that are trained on problems, on text or from reward are saved like the model
of any run. A model that has learned to chat or to classify is saved in the run's folder as a
Hugging Face folder, with every change merged into the weights, so that other programs can open it.
Both can be asked, converted, and trained further.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.pipeline import tunings
from glassmind.pipeline.tuning import FineTuning
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Options, Recipe
from glassmind.serialization import decode, encode_toml
from glassmind.train.processes.process_group import ProcessGroup


def objectives() -> tuple[str, ...]:
    """The possible values of ``objective`` in a recipe."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(tunings.__path__)))


def fine_tuning(objective: str) -> FineTuning:
    """The kind of fine-tuning of that name.

    Raises:
        UserError: there is none.
    """
    if objective not in objectives():
        raise UserError(
            f"there is no objective {objective[:60]!r}: set it to one of {', '.join(objectives())}"
        )
    module = importlib.import_module(f"{tunings.__name__}.{objective}")
    kind = module.FINE_TUNING
    assert isinstance(kind, FineTuning)
    return kind


def with_all_options(recipe: Recipe) -> Recipe:
    """The recipe with every option of its objective written out.

    Raises:
        UserError: the objective has no such option, or an option has a value that cannot be used.
    """
    kind = fine_tuning(recipe.objective)
    if kind.options is None:
        if recipe.options:
            raise UserError(
                f"the objective {recipe.objective} has no options: leave out "
                f"{', '.join(f'options.{name}' for name in recipe.options)}"
            )
        return recipe
    given = decode(kind.options, recipe.options, f"the options of {recipe.objective}")
    options: Options = encode_toml(given)
    return replace(recipe, options=options)


def fine_tune(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    device: torch.device,
    progress: Progress,
    group: ProcessGroup | None = None,
) -> RunFolder:
    """Train the model at ``recipe.start`` further, into the run ``folder``. If there are several
    processes (``group``), the first one writes the folder.

    Raises:
        UserError: there is no such model or objective, the model, the options or the data cannot be
            used, or ``folder`` holds something else.
    """
    recipe = with_all_options(recipe)
    kind = fine_tuning(recipe.objective)
    if group is not None and group.size > 1 and kind.together is None:
        raise UserError(
            "torchrun trains a finished model further only from reward (objective grpo), and other "
            "models from the beginning: run this recipe without torchrun"
        )
    if not recipe.start:
        what = "lora.rank is for" if recipe.lora.rank else f"objective {recipe.objective!r} needs"
        raise UserError(
            f"{what} a finished model to start from: set start to a run's folder, a Hugging Face "
            "folder, a .gguf file, smollm2 or word-problems"
        )
    if group is None or group.size == 1:
        return kind.tune(recipe, folder, resume=resume, device=device, progress=progress)
    assert kind.together is not None
    return kind.together(
        recipe, folder, resume=resume, device=device, progress=progress, group=group
    )
