"""Data → weights: one trainer, many objectives.

Read ``trainer`` (the loop), ``saved_state`` (what its checkpoints hold), ``objective`` (what an
objective is), then the objectives, each the equation of its paper: ``pretrain``, ``sft``,
``verify``, ``classify``. ``lora`` and ``freezing`` train part of a finished model under any of
them. ``optimizers`` and ``muon`` move the weights, ``schedules`` sets their pace, ``precision``
decides how numbers are held. Several processes train one model through ``launch``, ``distributed``
and ``fully_sharded``.

Beside the loop: ``validation``, ``guard`` and ``trouble`` (steps that go wrong), ``inspection``
(inside the layers), ``metrics_file`` and ``trackers`` (where metrics go), ``chunked_loss`` (less
memory).
"""

from glassmind.train.classify import Classify, TextClassifier
from glassmind.train.freezing import freeze
from glassmind.train.lora import LoraLinear, add_lora, merge, remove_lora, unmerge
from glassmind.train.objective import Batch, Objective, to_batch
from glassmind.train.precision import PrecisionChoice, choose_precision
from glassmind.train.pretrain import Pretrain
from glassmind.train.sft import SupervisedFineTuning
from glassmind.train.trainer import Trainer
from glassmind.train.validation import validation_loss
from glassmind.train.verify import Verify

__all__ = [
    "Batch",
    "Classify",
    "LoraLinear",
    "Objective",
    "PrecisionChoice",
    "Pretrain",
    "SupervisedFineTuning",
    "TextClassifier",
    "Trainer",
    "Verify",
    "add_lora",
    "choose_precision",
    "freeze",
    "merge",
    "remove_lora",
    "to_batch",
    "unmerge",
    "validation_loss",
]
