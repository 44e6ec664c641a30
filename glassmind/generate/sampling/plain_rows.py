"""The draw of plain rows in compiled code.

A row is *plain* if nothing but a temperature, top-k, top-p and min-p stands between its logits and
its token: no bias, penalty, constraint or guess of a draft model, and nobody who asks for the
likeliest tokens. Nearly all rows are. On a CPU they are drawn by ``packed/kernels/sampling.hpp``,
one by one, which takes a fraction of the time of ``Sampler``'s operations on whole batches, and
makes a row's numbers independent of the batch to the bit.

The tokens are those of ``Sampler``: the random numbers are the same, and the weights are equal up
to the rounding of ``exp``. The log-probabilities differ from its by that of a float32 logit, about
1e-6. Which of the two draws a row depends on its own sample, never on who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from glassmind.generate.packed.native_calls import Calls
from glassmind.generate.request import SamplingParams

CHOICE = np.dtype(
    [
        ("seed", np.int64), ("sample", np.int64), ("top_k", np.int64),
        ("temperature", np.float32), ("top_p", np.float32), ("min_p", np.float32),
        ("unused", np.float32), ("first_stop", np.int64), ("n_stops", np.int64),
    ]
)  # fmt: skip
"""``Choice`` of ``sampling.hpp``: how the tokens of a row are chosen."""

DRAWN = np.dtype([("token", np.int64), ("logprob", np.float32), ("sampled_logprob", np.float32)])
"""``Drawn`` of ``sampling.hpp``: a token, and the two log-probabilities of ``Generation``."""

Records = npt.NDArray[np.void]


def is_plain(params: SamplingParams) -> bool:
    """Whether the rows of such a request are plain, as far as its parameters say."""
    return not (params.logit_bias or params.penalised or params.top_logprobs)


def choices_of(rows: Iterable[tuple[SamplingParams, int]]) -> tuple[Records, Records]:
    """``CHOICE`` of each row, a request's parameters and the number of its sample; and the stop
    tokens of all, which these refer to."""
    places: dict[int, int] = {}
    settings: list[tuple[float, ...]] = []
    stops: list[int] = []
    of_row: list[int] = []
    numbers: list[int] = []
    for params, number in rows:
        place = places.setdefault(id(params), len(settings))
        if place == len(settings):
            seed, top_k = params.seed & ((1 << 63) - 1), min(params.top_k, 1 << 31)
            settings.append(
                (seed, 0, top_k, params.temperature, params.top_p, params.min_p, 0.0,
                 len(stops), len(params.stop))
            )  # fmt: skip
            stops += params.stop
        of_row.append(place)
        numbers.append(number)
    choices = np.array(settings, CHOICE)[of_row]
    choices["sample"] = numbers
    return choices, np.array(stops, np.int64)


def draw_plain(
    native: Calls, logits_RV: Tensor, rows: Iterable[tuple[SamplingParams, int]], steps: list[int]
) -> Records:
    """``DRAWN`` of each row of logits; ``steps`` is how many tokens each has drawn before."""
    logits_RV = logits_RV.float().contiguous()
    choices, _ = choices_of(rows)
    step_of_row = np.array(steps, np.int64)
    drawn = np.empty(len(choices), DRAWN)
    native.draw_tokens(
        logits_RV.data_ptr(), logits_RV.shape[1], choices.ctypes.data, step_of_row.ctypes.data,
        len(choices), drawn.ctypes.data,
    )  # fmt: skip
    return drawn


def all_finite(drawn: Records) -> bool:
    """Whether every log-probability is a number."""
    return bool(np.isfinite(drawn["logprob"]).all())
