"""Data → weights: one trainer, many objectives.

Read ``batch`` (what is trained on), ``objective`` (what is minimised), ``state`` (where batches
come from, and what has to be saved), then ``trainer`` (the loop), ``gradients`` (one step of it),
``saved_state`` (what its checkpoints hold) and ``run_files`` (where they and the metrics go, with
``metrics_file`` and ``trackers``). Each objective is the equation of its paper: ``pretrain``,
``sft`` (with ``dependencies``, which guides attention), ``verify``, ``classify``, ``grpo``.
``lora`` and ``freezing`` train a part of a finished model under any of them. ``optimizers`` and
``muon`` move the weights, ``schedules`` sets the learning rate, ``choice`` decides how the machine
computes (``precision``, measured by ``calibration`` in a ``rehearsal``, found again in
``known_choices``), ``termination`` notices
SIGTERM, ``guard`` and ``trouble`` deal with steps that go wrong, ``inspection`` looks inside one,
``validation`` measures on held-out rows, ``chunked_loss`` saves memory. Several processes train one
model through ``launch``, ``process_group``, ``distributed`` and ``fully_sharded``.

``glassmind.train(recipe, folder)`` is a call, too: ``pipeline.calls.train``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.callable_package import make_callable
from glassmind.lazy_names import lazy_names

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

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.train.batch": ("Batch", "to_batch"),
            "glassmind.train.classify": ("Classify", "TextClassifier"),
            "glassmind.train.freezing": ("freeze",),
            "glassmind.train.grpo": ("GRPO",),
            "glassmind.train.lora": ("LoraLinear", "add_lora", "remove_lora"),
            "glassmind.train.objective": ("Loss", "Objective"),
            "glassmind.train.precision": ("PrecisionChoice", "choose_precision"),
            "glassmind.train.pretrain": ("Pretrain",),
            "glassmind.train.sft": ("SupervisedFineTuning",),
            "glassmind.train.state": ("BatchSource", "State", "Stateful"),
            "glassmind.train.trainer": ("Trainer",),
            "glassmind.train.validation": ("validation_loss",),
            "glassmind.train.verify": ("Verify",),
        },
    )

make_callable(__name__)
