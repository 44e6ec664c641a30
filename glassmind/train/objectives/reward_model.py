"""A reward model: a number for an answer, learned from which of two answers people prefer.

With r(y) the score at the last token of an answer y, w the chosen and l the rejected answer of a
pair, and σ the logistic function:

    L = - mean over pairs of  log σ(r(w) - r(l))  +  centre · mean over pairs of (r(w) + r(l))²

Bradley and Terry (1952) model a preference as P(w beats l) = σ(r(w) - r(l)); Stiennon et al. (2020,
arXiv 2009.01325) and Ouyang et al. (2022, 2203.02155) train a language model's head to give r. Only
differences are determined, so r may drift: ``centre`` keeps its mean near 0 (Eisenstein et al.
2023, 2312.09244).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import PackedRows
from glassmind.model import TokenScorer
from glassmind.model.eager import uncompiled
from glassmind.train.batch import Batch, to_batch, to_device
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.objectives.preference import ROWS_AT_ONCE, AnswerLayout, answer_layout


class BradleyTerry(Objective):
    """The loss above, for pairs of answers in ``COMPLETION`` and ``PREFERENCE``.

    Without ``train_trunk`` only the head learns, and the trunk needs no backward pass.
    """

    module: TokenScorer

    def __init__(
        self, scorer: TokenScorer, *, centre: float = 0.0, train_trunk: bool = True
    ) -> None:
        self.module = scorer
        self.centre = centre
        scorer.trunk.requires_grad_(train_trunk)
        if not scorer.trunk.config.tie_embeddings:
            # Its predictions are read, without gradient, as evidence for the head.
            scorer.trunk.unembed.requires_grad_(False)

    def weight(self, batch: Batch) -> float:
        """The number of pairs."""
        return float(len(answer_layout(batch.rows).pairs()[0]))

    def loss(self, batch: Batch) -> Loss:
        layout = answer_layout(batch.rows)
        score_A = answer_scores(self.module, batch, layout)
        chosen_P, rejected_P = (
            score_A[to_device(numbers, score_A.device)] for numbers in layout.pairs()
        )
        margin_P = chosen_P - rejected_P
        n = max(1, len(margin_P))  # a batch without a pair changes nothing
        loss = bradley_terry_terms(chosen_P, rejected_P, self.centre).sum() / n
        figures: dict[str, float | Tensor] = {
            "accuracy": (margin_P.detach() > 0).float().sum() / n,
            "margin": margin_P.detach().sum() / n,
            "score_chosen": chosen_P.detach().sum() / n,
            "score_rejected": rejected_P.detach().sum() / n,
        }
        return loss, figures


def bradley_terry_terms(chosen_P: Tensor, rejected_P: Tensor, centre: float = 0.0) -> Tensor:
    """The loss (P,) of each pair, from the scores of both answers."""
    terms_P = F.softplus(rejected_P - chosen_P)
    return terms_P + centre * (chosen_P + rejected_P) ** 2 if centre else terms_P


def answer_scores(scorer: TokenScorer, batch: Batch, layout: AnswerLayout) -> Tensor:
    """The score (A,) of every answer of the batch, at its last token."""
    scores_BT, _ = scorer(
        batch.ids,
        positions_BT=batch.positions,
        previous_BT=batch.previous,
        mask=batch.mask,
    )
    rows, columns = batch.rows[COMPLETION].nonzero()
    last = layout.lengths_A.cumsum() - 1
    device = batch.ids.device
    score_A: Tensor = scores_BT[to_device(rows[last], device), to_device(columns[last], device)]
    return score_A.float()


@torch.inference_mode()
def scores_of_rows(
    scorer: TokenScorer, rows: PackedRows, device: torch.device
) -> tuple[Tensor, AnswerLayout]:
    """The scores (A,) of all answers in ``rows``, on the CPU, and what the answers are."""
    training = [inner for inner in scorer.modules() if inner.training]
    scorer.eval()
    found = []
    try:
        with uncompiled():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
                found.append(answer_scores(scorer, batch, answer_layout(batch.rows)).cpu())
    finally:
        for inner in training:
            inner.training = True
    scores_A = torch.cat(found)
    layout = answer_layout(rows)
    assert len(scores_A) == len(layout.lengths_A)
    return scores_A, layout


def paired_scores(
    scorer: TokenScorer, rows: PackedRows, device: torch.device
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of all pairs in ``rows``: scores of the chosen and of the rejected answers, and the numbers
    of tokens of both; four arrays (P,)."""
    scores_A, layout = scores_of_rows(scorer, rows, device)
    chosen, rejected = layout.pairs()
    scores, lengths = scores_A.double().numpy(), layout.lengths_A
    return scores[chosen], scores[rejected], lengths[chosen], lengths[rejected]
