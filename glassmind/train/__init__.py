"""Data → weights: one trainer, many objectives.

Read ``trainer`` (the loop), ``objective`` (what an objective is), then the objectives, each the
equation of its paper: ``pretrain``, ``sft``, ``verify``. ``optimizers`` and ``muon`` move the
weights, ``schedules`` sets their pace, ``precision`` decides how numbers are held.
"""

from glassmind.train.objective import Batch, Objective, to_batch
from glassmind.train.precision import PrecisionChoice, choose_precision
from glassmind.train.pretrain import Pretrain
from glassmind.train.sft import SupervisedFineTuning
from glassmind.train.trainer import Trainer
from glassmind.train.validation import validation_loss
from glassmind.train.verify import Verify

__all__ = [
    "Batch",
    "Objective",
    "PrecisionChoice",
    "Pretrain",
    "SupervisedFineTuning",
    "Trainer",
    "Verify",
    "choose_precision",
    "to_batch",
    "validation_loss",
]
