"""Training a verifier: judge every step, rank chains of one problem, keep speaking.

With s[t] the score (a logit) at token t, σ the logistic function:

    judge = - mean over labelled tokens t of  y[t] log σ(s[t]) + (1 - y[t]) log σ(-s[t])
    rank  = - mean over pairs (right, wrong) of the same problem of  log σ(s[right] - s[wrong])
    speak = - mean over tokens of right chains of  log p(x[t] | x[..t-1])

    L = judge + pair_weight · rank + language_weight · speak

With a language weight of 0 the trunk is frozen and only the judge above it learns: a forward pass
of the trunk instead of three passes' worth of work, which buys the judge several times the chains.

Labels stand at the end of every step (1 while everything so far is right: a process label, Lightman
et al. 2023, arXiv 2305.20050) and at the end of the chain (1 if the answer is right: an outcome
label, Cobbe et al. 2021, 2110.14168, who also train the language-model loss along). Judging alone
learns which *problems* are hard; ranking (Bradley & Terry 1952) asks for the difference *within* a
problem, which is what a vote needs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.model import TokenScorer
from glassmind.train.objective import Batch


class Verify:
    """The loss above. ``end_id`` is the token at which a chain as a whole is judged."""

    def __init__(
        self, scorer: TokenScorer, end_id: int, pair_weight: float, language_weight: float
    ) -> None:
        self.module = scorer
        self.end_id = end_id
        self.pair_weight, self.language_weight = pair_weight, language_weight
        scorer.trunk.requires_grad_(language_weight > 0)

    def weight(self, batch: Batch) -> float:
        """The number of labels; exact for the judge's loss, which is the mean over them."""
        return float((~batch.labels.isnan()).sum())

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        scores_BT, logp_BT = self.module(
            batch.ids, positions_BT=batch.positions, previous_BT=batch.previous, mask=batch.mask
        )
        scores_BT = scores_BT.float()
        labelled = ~batch.labels.isnan()
        judge = F.binary_cross_entropy_with_logits(scores_BT[labelled], batch.labels[labelled])
        loss = judge
        figures: dict[str, float | Tensor] = {"judge": judge.detach()}
        if self.pair_weight > 0:
            rank, accuracy = self._rank(scores_BT, batch, labelled)
            loss = loss + self.pair_weight * rank
            figures |= {"rank": rank.detach(), "pairs_right": accuracy}
        if self.language_weight > 0 and batch.completion.any():
            speak = -logp_BT[batch.completion].mean()
            loss = loss + self.language_weight * speak
            figures["speak"] = speak.detach()
        return loss, figures

    def _rank(self, scores_BT: Tensor, batch: Batch, labelled: Tensor) -> tuple[Tensor, Tensor]:
        """Pairwise loss and the share of pairs in the right order, over ends of one document."""
        ends = labelled & (batch.ids == self.end_id)
        rows, columns = ends.nonzero(as_tuple=True)
        scores, labels = scores_BT[rows, columns], batch.labels[rows, columns]
        problem = rows * (batch.documents.max() + 1) + batch.documents[rows, columns]
        pairs = (
            (problem[:, None] == problem[None, :])
            & (labels[:, None] > 0.5)
            & (labels[None, :] < 0.5)
        )
        margins = (scores[:, None] - scores[None, :])[pairs]
        if not len(margins):
            return scores_BT.sum() * 0.0, torch.ones(())
        return F.softplus(-margins).mean(), (margins > 0).float().mean()
