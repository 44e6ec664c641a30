"""Training a verifier: judge every step, rank chains of one problem, keep modelling language.

With s[t] the score (a logit) at token t, σ the logistic function:

    judge = - mean over labelled tokens t of  y[t] log σ(s[t]) + (1 - y[t]) log σ(-s[t])
    rank  = - mean over pairs (right, wrong) of the same problem of  log σ(s[right] - s[wrong])
    speak = - mean over tokens of right chains of  log p(x[t] | x[..t-1])

    L = judge + pair_weight · rank + language_weight · speak

With a language weight of 0 the trunk is frozen and only the head above it learns. The trunk then
needs no backward pass, a third of the work, so the head can learn from three times as many chains.

Labels stand at the end of every step (1 while everything so far is right: a process label, Lightman
et al. 2023, arXiv 2305.20050) and at the end of the chain (1 if the answer is right: an outcome
label, Cobbe et al. 2021, 2110.14168, who also add the language-model loss). With ``judge`` alone,
the verifier mainly learns which *problems* are hard; ranking (Bradley & Terry 1952) trains it on
the differences *within* a problem, which is what a vote needs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, LABEL
from glassmind.model import TokenScorer
from glassmind.train.batch import Batch, to_device
from glassmind.train.objectives.objective import Loss, Objective


class Verify(Objective):
    """The loss above. ``end_id`` is the token at which a chain as a whole is judged."""

    def __init__(
        self, scorer: TokenScorer, end_id: int, pair_weight: float, language_weight: float
    ) -> None:
        self.module = scorer
        self.end_id = end_id
        self.pair_weight, self.language_weight = pair_weight, language_weight
        scorer.trunk.requires_grad_(language_weight > 0)

    def weight(self, batch: Batch) -> float:
        """The number of labels. This is exact for ``judge``. ``rank`` and ``speak`` are means over
        other terms, so small batches weigh them a little differently from one large batch.
        """
        return float(np.count_nonzero(~np.isnan(batch.rows[LABEL])))

    def loss(self, batch: Batch) -> Loss:
        scores_BT, logp_BT = self.module(
            batch.ids,
            positions_BT=batch.positions,
            previous_BT=batch.previous,
            mask=batch.mask,
        )
        scores_BT = scores_BT.float()
        labelled_BT = ~np.isnan(batch.rows[LABEL])
        at = batch.indices(labelled_BT)
        judge = F.binary_cross_entropy_with_logits(scores_BT[at], batch[LABEL][at])
        loss = judge
        figures: dict[str, float | Tensor] = {"judge": judge.detach()}
        if self.pair_weight > 0:
            rank, accuracy = self._rank(scores_BT, batch, labelled_BT)
            loss = loss + self.pair_weight * rank
            figures |= {"rank": rank.detach(), "pairs_right": accuracy}
        if self.language_weight > 0 and batch.rows[COMPLETION].any():
            speak = -logp_BT[batch.indices(batch.rows[COMPLETION])].mean()
            loss = loss + self.language_weight * speak
            figures["speak"] = speak.detach()
        return loss, figures

    def _rank(
        self, scores_BT: Tensor, batch: Batch, labelled_BT: NDArray[np.bool_]
    ) -> tuple[Tensor, Tensor]:
        """Pairwise loss and the share of pairs in the right order, over ends of one document."""
        rows = batch.rows
        ends_BT = labelled_BT & (rows.ids == self.end_id)
        labels, (row, _) = rows[LABEL][ends_BT], ends_BT.nonzero()
        problem = row * (int(rows.documents.max()) + 1) + rows.documents[ends_BT]
        pairs = (
            (problem[:, None] == problem[None, :])
            & (labels[:, None] > 0.5)
            & (labels[None, :] < 0.5)
        )
        if not pairs.any():
            return scores_BT.sum() * 0.0, torch.ones(())
        scores = scores_BT[batch.indices(ends_BT)]
        right, wrong = (to_device(index, scores.device) for index in pairs.nonzero())
        margins = (scores[:, None] - scores[None, :])[right, wrong]
        return F.softplus(-margins).mean(), (margins > 0).float().mean()
