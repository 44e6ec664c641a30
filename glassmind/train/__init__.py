"""Data → weights: one trainer, many objectives.

Read ``batch`` (what is trained on), ``objectives`` (what is minimised), ``state`` (where batches
come from, and what has to be saved), then ``trainer`` (the loop) and ``gradients`` (one step of
it). ``optimizers`` move the weights, ``arithmetic`` decides how the machine computes, ``saving``
writes checkpoints, ``watching`` records the steps and deals with those that go wrong,
``validation`` measures on held-out rows. ``lora`` and ``freezing`` train a part of a finished model
under any objective. Several ``processes`` train one model.

``glassmind.train(recipe, folder)`` is a call, too: ``pipeline.calls.train``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.callable_package import make_callable
from glassmind.lazy_names import lazy_names

__all__ = [
    "GRPO",
    "PPO",
    "Batch",
    "BatchSource",
    "Classify",
    "Distill",
    "LoraLinear",
    "Loss",
    "Objective",
    "PrecisionChoice",
    "Pretrain",
    "State",
    "Stateful",
    "SupervisedFineTuning",
    "TextClassifier",
    "Trainer",
    "Verify",
    "add_lora",
    "choose_precision",
    "freeze",
    "remove_lora",
    "to_batch",
    "validation_loss",
]

if TYPE_CHECKING:
    from glassmind.train.arithmetic.precision import PrecisionChoice, choose_precision
    from glassmind.train.batch import Batch, to_batch
    from glassmind.train.freezing import freeze
    from glassmind.train.lora import LoraLinear, add_lora, remove_lora
    from glassmind.train.objectives.classify import Classify, TextClassifier
    from glassmind.train.objectives.distill import Distill
    from glassmind.train.objectives.grpo import GRPO
    from glassmind.train.objectives.objective import Loss, Objective
    from glassmind.train.objectives.ppo import PPO
    from glassmind.train.objectives.pretrain import Pretrain
    from glassmind.train.objectives.sft import SupervisedFineTuning
    from glassmind.train.objectives.verify import Verify
    from glassmind.train.state import BatchSource, State, Stateful
    from glassmind.train.trainer import Trainer
    from glassmind.train.validation import validation_loss
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.train.batch": ("Batch", "to_batch"),
            "glassmind.train.objectives.classify": ("Classify", "TextClassifier"),
            "glassmind.train.freezing": ("freeze",),
            "glassmind.train.objectives.distill": ("Distill",),
            "glassmind.train.objectives.grpo": ("GRPO",),
            "glassmind.train.lora": ("LoraLinear", "add_lora", "remove_lora"),
            "glassmind.train.objectives.objective": ("Loss", "Objective"),
            "glassmind.train.arithmetic.precision": ("PrecisionChoice", "choose_precision"),
            "glassmind.train.objectives.ppo": ("PPO",),
            "glassmind.train.objectives.pretrain": ("Pretrain",),
            "glassmind.train.objectives.sft": ("SupervisedFineTuning",),
            "glassmind.train.state": ("BatchSource", "State", "Stateful"),
            "glassmind.train.trainer": ("Trainer",),
            "glassmind.train.validation": ("validation_loss",),
            "glassmind.train.objectives.verify": ("Verify",),
        },
    )

make_callable(__name__)
