"""The resumable loader: endless, shuffled batches of packed rows.

Its whole state is two integers, so a resumed run sees exactly the batches it would have seen: the
order of epoch *e* is a permutation drawn from (seed, e), not from a generator with a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError


class Rows(Protocol):
    """Rows to train on, in memory (``PackedRows``) or on disk (``token_shards.TokenRows``)."""

    def __len__(self) -> int:
        """The number of rows."""
        ...

    def take(self, rows: NDArray[np.int64] | slice) -> PackedRows:
        """The chosen rows."""
        ...


class RowLoader:
    """A ``train.state.BatchSource``: batches of ``batch_rows`` rows, reshuffled every epoch.

    The last rows of an epoch that do not fill a batch are left out of that epoch.

    Raises:
        UserError: the data has fewer rows than one batch.
    """

    def __init__(self, rows: Rows, batch_rows: int, seed: int) -> None:
        if len(rows) < batch_rows:
            raise UserError(
                f"a batch wants {batch_rows} rows and the data fills only {len(rows)}: "
                "give more data or set batch_rows lower"
            )
        self.rows, self.batch_rows, self.seed = rows, batch_rows, seed
        self.batches_per_epoch = len(rows) // batch_rows
        self.epoch = self.cursor = 0
        self._order = self._permutation()

    def _permutation(self) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.rows))

    def next(self) -> PackedRows:
        """The next batch."""
        if self.cursor == self.batches_per_epoch:
            self.epoch, self.cursor = self.epoch + 1, 0
            self._order = self._permutation()
        start = self.cursor * self.batch_rows
        chosen = self._order[start : start + self.batch_rows]
        self.cursor += 1
        return self.rows.take(chosen)

    def state(self) -> dict[str, int]:
        """The state to save in order to continue from here."""
        return {"epoch": self.epoch, "cursor": self.cursor}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved ``state``."""
        self.epoch, self.cursor = int(state["epoch"]), int(state["cursor"])
        self._order = self._permutation()
