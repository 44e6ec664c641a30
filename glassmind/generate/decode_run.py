"""Several decode steps in one compiled call.

Most of the time, all samples of a pass do the same: each reads the token it drew last, and draws
the next. With a small model, preparing such a pass in Python and taking its results apart takes as
long as the model does. So while there is nothing else to do, ``packed/kernels/decode_run.hpp`` does
several steps by itself: embed, all blocks, logits, draw, until the samples have ended or the run
has. A sample that ends leaves the batch at once.

The numbers are those of single steps, to the bit: the same loops compute them. A run needs a packed
model, samples without hooks or guesses whose rows are plain (``sampling/plain_rows.py``) and,
beforehand, the cache blocks for all steps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.packed import native_calls
from glassmind.generate.packed.model import PackedModel
from glassmind.generate.packed.native_calls import STORED, calls
from glassmind.generate.sample import Finish, Sample
from glassmind.generate.sampling.plain_rows import DRAWN, all_finite, choices_of
from glassmind.generate.scoring import require_numbers

ROW = np.dtype(
    [(name, np.int64) for name in ("row", "length", "prompt", "limit", "token",
                                   "n_drawn", "finish")]
)  # fmt: skip
"""``RunRow`` of ``decode_run.hpp``."""

_FINISH: tuple[Finish | None, ...] = (None, "stop", "length")


def can_run(model: object, work: Sequence[tuple[Sample, int]]) -> bool:
    """Whether a pass consists of single decode steps that a run can do."""
    return (
        isinstance(model, PackedModel)
        and model.embedding is not None
        and not model.config.reasoning.reads_steps  # whose positions and cache change by step
        and all(
            sample.steady
            and not sample.siblings
            and len(sample.tokens) - sample.computed == 1
            and sample.unscored == len(sample.tokens)
            for sample, _ in work
        )
    )


class DecodeRuns:
    """Runs of a packed model with its cache.

    ``steps`` counts the steps of all runs, ``model_seconds`` the time that they spent in the model
    rather than in drawing tokens.
    """

    def __init__(self, model: PackedModel, cache: PagedCache) -> None:
        self._model, self._cache = model, cache
        self.steps = 0
        self.model_seconds = 0.0

    def run(self, samples: Sequence[Sample], most_steps: int, seconds: float) -> int:
        """Decode up to ``most_steps`` tokens of each sample, for which it has the blocks.

        No step begins after ``seconds``. Returns how many there were. Raises ``UserError`` if the
        logits are not numbers.
        """
        native, embedding = calls(), self._model.embedding
        assert native is not None and embedding is not None
        rows = np.array(
            [
                (one.row, len(one.tokens), one.n_prompt, one.limit, one.tokens[-1], 0, 0)
                for one in samples
            ],
            ROW,
        )
        choices, stops = choices_of((one.request.params, one.number) for one in samples)
        drawn = np.zeros((len(samples), most_steps), DRAWN)
        tables_RW = self._cache.tables_RW
        run = native_calls.Run(
            self._model.native, ctypes.addressof(self._cache.native_layers),
            tables_RW.data_ptr(), tables_RW.shape[1], embedding, self._model.native_unembed,
            rows.ctypes.data, choices.ctypes.data, stops.ctypes.data, drawn.ctypes.data,
            len(samples), most_steps, seconds, 0.0,
        )  # fmt: skip
        native.decode_run(STORED[self._cache.layers[0].keys.dtype], ctypes.byref(run))
        require_numbers(all_finite(drawn))
        counts: list[int] = rows["n_drawn"].tolist()
        steps = max(counts)
        self.steps += steps
        self.model_seconds += run.model_seconds
        drawn = drawn[:, :steps]
        for sample, count, finish, *parts in zip(
            samples,
            counts,
            rows["finish"].tolist(),
            drawn["token"].tolist(),
            drawn["logprob"].tolist(),
            drawn["sampled_logprob"].tolist(),
            strict=True,
        ):
            tokens, logprobs, sampled = parts if count == steps else (p[:count] for p in parts)
            sample.extend(tokens, logprobs, sampled, _FINISH[finish])
        return steps
