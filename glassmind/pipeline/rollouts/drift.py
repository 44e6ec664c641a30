"""The alarm for an engine whose log-probabilities drift away from the trainer's."""

from __future__ import annotations

from collections.abc import Sequence

from glassmind.errors import UserError
from glassmind.generate import logprob_difference
from glassmind.model import Transformer
from glassmind.pipeline.rollouts.groups import Group
from glassmind.progress import Progress
from glassmind.runs.recipe import SamplingConfig

CHECKED = 4
"""Completions of every sampling whose log-probabilities the trainer computes again."""


class DriftAlarm:
    """Stops the run, or warns once, as ``sampling.on_logprob_diff`` says."""

    def __init__(self, config: SamplingConfig, progress: Progress) -> None:
        self.config, self.progress = config, progress
        self._warned = False

    def check(self, model: Transformer, groups: Sequence[Group]) -> None:
        """Compare the engine's log-probabilities of the first completions with those of ``model``.

        Raises:
            UserError: they differ by more than ``sampling.most_logprob_diff``.
        """
        checked = [group for group in groups[:CHECKED] if group.completions[0].token_ids]
        if not checked:
            return
        firsts = [group.completions[0] for group in checked]
        found = logprob_difference(model, [group.prompt for group in checked], firsts)
        if found.max <= self.config.most_logprob_diff:  # false for NaN
            return
        message = (
            f"the engine's log-probability of a token is {found.max:.2g} nats from the trainer's, "
            f"more than sampling.most_logprob_diff ({self.config.most_logprob_diff:g})"
        )
        if self.config.on_logprob_diff == "stop":
            raise UserError(f"{message}; raise it, or set sampling.on_logprob_diff to warn")
        if not self._warned:
            self.progress.end(message)
        self._warned = True
