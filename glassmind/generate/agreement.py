"""How far the engine's log-probabilities are from the trainer's.

The engine uses a cache, packed weights and its own kernels; a trainer runs PyTorch's modules over
whole rows. Reinforcement learning assumes that both compute the same probabilities: the importance
ratio of a token, π_train / π_engine, should be 1 before the first update. Where the two differ, the
ratio corrects for an update that never happened, and training may fail without an error (Yao et al.
2025, "Your efficient RL framework secretly brings you off-policy training"). So every run that
samples measures the difference on a few of its samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from glassmind.model import Transformer
from glassmind.model.eager import uncompiled
from glassmind.records import LogprobDifference


class Scored(Protocol):
    """Tokens and the engine's unmodified log-probability of each, as ``Generation`` has them."""

    @property
    def token_ids(self) -> tuple[int, ...]: ...

    @property
    def logprobs(self) -> tuple[float, ...]: ...


def logprob_difference(
    model: Transformer, prompts: Sequence[Sequence[int]], generations: Sequence[Scored]
) -> LogprobDifference:
    """Score each generation after its prompt with ``model``, as a trainer does, and compare.

    ``model`` is the one in training: one row at a time, no cache, no packing, no autocast. Raises
    ``ValueError`` if there is not a single token to compare.
    """
    engine: list[float] = []
    trainer: list[float] = []
    training = model.training
    model.eval()
    device = model.embed.weight.device
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, enabled=False),
            uncompiled(),
        ):
            for prompt, generation in zip(prompts, generations, strict=True):
                new = generation.token_ids
                if not new:
                    continue
                ids_1T = torch.tensor([[*prompt, *new]], device=device)
                hidden_ND = model.hidden(ids_1T[:, :-1])[0, len(prompt) - 1 :]
                logprobs_NV = model.logits(hidden_ND).float().log_softmax(1)
                trainer += logprobs_NV.gather(1, ids_1T[0, len(prompt) :, None])[:, 0].tolist()
                engine += generation.logprobs
    finally:
        model.train(training)
    if not engine:
        raise ValueError("none of the generations has a token")
    difference_N = torch.tensor(trainer, dtype=torch.float64) - torch.tensor(
        engine, dtype=torch.float64
    )
    ratios_N = difference_N.exp()
    return LogprobDifference(
        tokens=len(engine),
        mean=float(difference_N.abs().mean()),
        max=float(difference_N.abs().max()),
        ratio_mean=float(ratios_N.mean()),
        ratio_min=float(ratios_N.min()),
        ratio_max=float(ratios_N.max()),
    )
