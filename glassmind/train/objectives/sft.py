"""Supervised fine-tuning: predict the completion, given the prompt.

    L = - mean over completion tokens t of  log p(y[t] | prompt, y[..t-1])

The prompt's own tokens are read but not learned (Ouyang et al. 2022, arXiv 2203.02155, and
everyone since): the model is to answer questions, not to invent them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import PackedRows
from glassmind.train.objectives.pretrain import Pretrain


class SupervisedFineTuning(Pretrain):
    """Next-token prediction over completions only."""

    def learned(self, rows: PackedRows) -> NDArray[np.bool_]:
        """The tokens that are predicted, (B, T): those of completions."""
        return rows[COMPLETION]
