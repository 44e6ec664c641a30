"""What a training run minimises.

Pretraining, fine-tuning, verifying and learning from reward differ only here: an ``Objective`` owns
the module that is trained and turns a batch into a loss. The trainer does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from glassmind.train.batch import Batch
from glassmind.train.state import Saved

Loss = tuple[Tensor, dict[str, float | Tensor]]
"""The scalar to minimise, and figures worth logging, by name (detached)."""


class Objective(ABC):
    """A loss, the module that it trains, and whatever else it needs to be saved.

    ``module`` holds every parameter that is trained. Checkpoints keep those that need a gradient.
    """

    module: nn.Module
    largest: ClassVar[frozenset[str]] = frozenset()
    """The figures of which the largest over all batches is logged, not the mean."""

    @property
    def saved(self) -> Mapping[str, Saved]:
        """What else a checkpoint must keep, by name; nothing unless overridden.

        For example a reference model, a moving average of the rewards, a random generator of the
        objective's own. Modules are moved to the trainer's device, and are not trained.

        Of several processes each has its own random generators saved, and the first one's state is
        saved of all else: it must not depend on a process's share of the rows.
        """
        return {}

    def after_step(self) -> None:
        """Called after every update of the weights: the place for a moving average of them."""
        return

    @abstractmethod
    def weight(self, batch: Batch) -> float:
        """The number of terms that ``loss`` is the mean of.

        The trainer weighs batches by it, so that several small batches (``train.accumulate``, or
        the shares of several processes) give the update of one large batch. Count in
        ``batch.rows``: counting on a GPU would make every step wait for it.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """The mean loss over the batch's terms, and figures about it.

        A figure is logged as the mean over batches, weighted as the loss is, or, if ``largest``
        names it, as the largest.
        """
