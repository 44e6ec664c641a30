"""Data → weights: one trainer, many objectives.

Read ``batch`` (what is trained on), ``objective`` (what is minimised), ``state`` (where batches
come from, and what has to be saved), then ``trainer`` (the loop), ``gradients`` (one step of it),
``saved_state`` (what its checkpoints hold) and ``run_files`` (where they and the metrics go, with
``metrics_file`` and ``trackers``). Each objective is the equation of its paper: ``pretrain``,
``sft``, ``verify``, ``classify``, ``grpo``. ``lora`` and ``freezing`` train a part of a finished
model under any of them. ``optimizers`` and ``muon`` move the weights, ``schedules`` sets the
learning rate, ``precision`` chooses number formats, ``guard`` and ``trouble`` deal with steps that
go wrong, ``inspection`` looks inside one, ``validation`` measures on held-out rows,
``chunked_loss`` saves memory. Several processes train one model through ``launch``,
``process_group``, ``distributed`` and ``fully_sharded``.
"""

from glassmind.train.batch import Batch, to_batch
from glassmind.train.classify import Classify, TextClassifier
from glassmind.train.freezing import freeze
from glassmind.train.grpo import GRPO
from glassmind.train.lora import LoraLinear, add_lora, remove_lora
from glassmind.train.objective import Loss, Objective
from glassmind.train.precision import PrecisionChoice, choose_precision
from glassmind.train.pretrain import Pretrain
from glassmind.train.sft import SupervisedFineTuning
from glassmind.train.state import BatchSource, State, Stateful
from glassmind.train.trainer import Trainer
from glassmind.train.validation import validation_loss
from glassmind.train.verify import Verify

__all__ = [
    "GRPO",
    "Batch",
    "BatchSource",
    "Classify",
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
