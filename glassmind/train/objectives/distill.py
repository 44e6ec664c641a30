"""Distillation on logits: a student learns the teacher's whole distribution at every token.

    L = mean over completion tokens t of  D(π_teacher(· | prompt, y[..t-1]), π_student(· | same))

D is one of the ``divergences``. A text says which token came next; a teacher says how likely each
of them was, which is far more to learn from (Hinton et al. 2015, arXiv 1503.02531). (Distillation
on text, which only needs the teacher's samples, is ``sft`` on them: Kim & Rush 2016, arXiv
1606.07947.)

The completions may be anybody's: worked solutions, the teacher's chains, or the student's own.
Learning on its own chains (on-policy: Agarwal et al. 2023, arXiv 2306.13649) teaches the student
what to do after its own mistakes, which the teacher's chains never show.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION
from glassmind.model import Transformer
from glassmind.train.batch import Batch
from glassmind.train.objectives.divergences import Divergence, chunked_divergence
from glassmind.train.objectives.objective import Loss, Objective


class Distill(Objective):
    """The loss above for the tokens of the column ``COMPLETION``.

    The teacher is not trained, and not saved with the checkpoints. Student and teacher must have
    the same tokens in the first ``vocabulary`` ids; ids beyond are ignored.
    """

    module: Transformer

    def __init__(
        self, student: Transformer, teacher: Transformer, divergence: Divergence, vocabulary: int
    ) -> None:
        smaller = min(student.config.vocab_size, teacher.config.vocab_size)
        if not 0 < vocabulary <= smaller:
            raise ValueError(f"vocabulary must be 1 to {smaller}, not {vocabulary}")
        self.module = student
        self.teacher = teacher.eval().requires_grad_(False)
        self.divergence, self.vocabulary = divergence, vocabulary

    def weight(self, batch: Batch) -> float:
        """The number of tokens of completions."""
        return float(np.count_nonzero(batch.rows[COMPLETION]))

    def loss(self, batch: Batch) -> Loss:
        at = batch.indices(batch.rows[COMPLETION])
        student_ND = _predictors(self.module, batch, at)
        with torch.no_grad():
            teacher_NK = _predictors(self.teacher, batch, at)
        loss, agreement = chunked_divergence(
            self.divergence,
            (student_ND, self.module.unembed.weight),
            (teacher_NK, self.teacher.unembed.weight),
            batch.ids[at],
            vocabulary=self.vocabulary,
        )
        return loss, {"agreement": agreement}


def _predictors(model: Transformer, batch: Batch, at: tuple[Tensor, Tensor]) -> Tensor:
    """The hidden states (N, D) that predict the tokens at (row, column)."""
    rows, columns = at
    hidden_BTD = model.hidden(
        batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
    )
    return hidden_BTD[rows, batch.previous[rows, columns]]
