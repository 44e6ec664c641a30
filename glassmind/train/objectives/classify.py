"""Classification: read a text to its end, and predict its class, one of C.

With h the trunk's hidden state at the text's last token, the only one that has seen all of it:

    L = - mean over texts of  log softmax(W h + b)[label]

This is how the first GPT was used (Radford et al. 2018, "Improving language understanding by
generative pre-training", §3.2): the pretrained trunk, and one new matrix. What is trained in
addition to the new head is a choice (``set_trained``): nothing, which shows what the trunk already
knows; the last block and the final norm; everything; or low-rank changes (``lora``).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glassmind.data.batches.columns import LABEL
from glassmind.data.batches.packing import PackedRows
from glassmind.model import Transformer
from glassmind.model.eager import uncompiled
from glassmind.train.batch import Batch, to_batch
from glassmind.train.objectives.objective import Loss, Objective

ROWS_AT_ONCE = 16


def labelled(rows: PackedRows) -> NDArray[np.bool_]:
    """The tokens that carry a label, (B, T)."""
    found: NDArray[np.bool_] = ~np.isnan(rows[LABEL])
    return found


class TextClassifier(nn.Module):
    """A trunk and a head of ``n_classes``, which starts at zero: all classes are equally likely."""

    def __init__(self, trunk: Transformer, n_classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.config.d_model, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (N, C) of the N tokens of the batch that carry a label, row after row."""
        hidden_BTD = self.trunk.hidden(
            batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
        )
        logits_NC: Tensor = self.head(hidden_BTD[batch.indices(labelled(batch.rows))])
        return logits_NC


def set_trained(classifier: TextClassifier, part: Literal["head", "last-block", "all"]) -> None:
    """Freeze all of the trunk except ``part``; the head is always trained."""
    trunk = classifier.trunk
    trunk.requires_grad_(part == "all")
    if part == "last-block":
        trunk.blocks[-1].requires_grad_(True)
        if trunk.final_norm is not None:
            trunk.final_norm.requires_grad_(True)
    if part == "all" and not trunk.config.tie_embeddings:
        trunk.unembed.requires_grad_(False)  # a classifier has no use for the output layer


class Classify(Objective):
    """The loss above. ``LABEL`` holds the number of the class at every text's last token."""

    def __init__(self, classifier: TextClassifier) -> None:
        self.module = classifier

    def weight(self, batch: Batch) -> float:
        """The number of texts."""
        return float(np.count_nonzero(labelled(batch.rows)))

    def loss(self, batch: Batch) -> Loss:
        logits_NC = self.module(batch).float()
        labels_N = batch[LABEL][batch.indices(labelled(batch.rows))].long()
        right = (logits_NC.argmax(dim=-1) == labels_N).float().mean()
        return F.cross_entropy(logits_NC, labels_N), {"accuracy": right.detach()}


@torch.inference_mode()
def class_probabilities(
    classifier: TextClassifier, rows: PackedRows, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Probabilities (N, C) and labels (N,) of all texts in ``rows``, on the CPU."""
    probabilities, labels = [], []
    was_training = classifier.training
    classifier.eval()
    with uncompiled():  # a few passes are not worth compiling for
        for start in range(0, len(rows), ROWS_AT_ONCE):
            batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
            probabilities.append(classifier(batch).float().softmax(dim=-1).cpu())
            labels.append(torch.from_numpy(batch.rows[LABEL][labelled(batch.rows)]).long())
    classifier.train(was_training)
    return torch.cat(probabilities), torch.cat(labels)
