"""Fresh pairs in every step: the best and the worst of groups that the model has just sampled.

Pairs that were made before training are about the model that wrote them. The more it changes, the
less they say about what it writes now (Guo et al. 2024, arXiv 2402.04792: "online AI feedback").
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from glassmind.data.batches.packing import PackedRows, pack
from glassmind.data.preferences.documents import EncodedPreference, preference_document
from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.pipeline.preferences.sampled import ranked_pair
from glassmind.pipeline.rollouts.figures import set_figures
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.quantity import quantity
from glassmind.train import State
from glassmind.train.objectives.preference import with_reference

MOST_DRAWS = 20
"""Sets of questions that are drawn for one batch, if the chains of all get equal rewards."""


@dataclass
class FreshPairs:
    """Batches of pairs from ``questions`` problems each. See ``train.BatchSource``.

    ``reference`` scores them, if the loss has a reference. A pair that does not fit into a row of
    ``row_tokens`` is left out.
    """

    sampler: GroupSampler
    questions: int
    reference: Transformer | None
    row_tokens: int
    device: torch.device
    _sampled: list[Group] = field(default_factory=list)
    _observed: bool = True

    def next(self) -> PackedRows:
        """The pairs of newly sampled groups.

        Raises:
            UserError: a reward fails, or no two completions of many questions get different ones.
        """
        if self._observed:
            self._sampled, self._observed = [], False
        for _ in range(MOST_DRAWS):
            groups = self.sampler.draw(self.questions).all
            self._sampled += groups
            pairs = self._pairs(groups)
            if pairs:
                rows = pack([preference_document(one) for one in pairs], self.row_tokens, pad_id=0)
                if self.reference is None:
                    return rows
                return with_reference(self.reference, rows, self.device)
        n = quantity(MOST_DRAWS * self.questions, "question")
        raise UserError(
            f"all chains of each of the last {n} got the same reward, so none is preferred: give "
            "problems that the model solves sometimes (problems.dial), or raise sampling.samples "
            "or sampling.temperature"
        )

    def _pairs(self, groups: list[Group]) -> list[EncodedPreference]:
        found = [ranked_pair(group, self.sampler.rewarding.weights) for group in groups]
        return [pair for pair in found if pair is not None and pair.n_tokens <= self.row_tokens]

    def observe(self, step: int) -> dict[str, float]:
        """Figures about all that was sampled since the last time they were asked for."""
        self._observed = True
        rewarding = self.sampler.rewarding
        return set_figures(self._sampled, rewarding.names, rewarding.weights)

    def state(self) -> State:
        return self.sampler.state()

    def restore(self, state: State) -> None:
        self.sampler.restore(state)
        self._sampled, self._observed = [], True
