"""The log-probability of tokens that were not drawn: a prompt's, and those a tool forced.

A drawn token gets its log-probability from the sampler. The others are known before they are read,
and get theirs from the pass that reads the token before them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.model_runner import LanguageModel
from glassmind.generate.request import TopLogprobs
from glassmind.generate.sample import Sample
from glassmind.generate.scheduler import Work

SCORED_AT_ONCE = 512  # rows of logits: bounds the memory that a long prompt's logits take

Tops = tuple[list[list[int]], list[list[float]]]
"""For some rows, the likeliest tokens and their log-probabilities, likeliest first."""


def require_numbers(finite: bool) -> None:
    """Raises ``UserError`` unless all log-probabilities are ``finite``."""
    if not finite:
        raise UserError(
            "the model's logits are not numbers (NaN): its weights are damaged, or training "
            "diverged; use an earlier checkpoint"
        )


def score_known(model: LanguageModel, work: Work, hidden_TD: Tensor) -> None:
    """Score every known token whose predecessor was read in this pass."""
    places: list[int] = []
    targets: list[int] = []
    owners: list[Sample] = []
    start = 0
    for sample, count in work:
        first = max(sample.unscored, sample.computed + 1)
        last = min(sample.computed + count + 1, len(sample.tokens))
        for at in range(first, last):
            places.append(start + at - 1 - sample.computed)
            targets.append(sample.tokens[at])
            owners.append(sample)
        start += count
    for first in range(0, len(places), SCORED_AT_ONCE):
        chunk = slice(first, first + SCORED_AT_ONCE)
        logprobs_RV = model.logits(hidden_TD[places[chunk]]).float().log_softmax(1)
        wanted = max(owner.request.params.top_logprobs for owner in owners[chunk])
        top = logprobs_RV.topk(min(wanted, logprobs_RV.shape[1])) if wanted else None
        target = torch.tensor(targets[chunk], device=hidden_TD.device)
        values = logprobs_RV.gather(1, target[:, None])[:, 0].tolist()
        tops = None if top is None else (top.indices.tolist(), top.values.tolist())
        for row, (owner, value) in enumerate(zip(owners[chunk], values, strict=True)):
            owner.score(value, top_of(owner, tops, row))


def top_of(sample: Sample, tops: Tops | None, row: int) -> TopLogprobs | None:
    """As many of the likeliest tokens as the sample's request asks for."""
    wanted = sample.request.params.top_logprobs
    if not wanted or tops is None:
        return None
    return tuple(zip(tops[0][row][:wanted], tops[1][row][:wanted], strict=True))
