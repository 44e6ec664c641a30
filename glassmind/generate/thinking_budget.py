"""Budget forcing: how long a model thinks, decided from outside (s1: Muennighoff et al. 2025,
arXiv 2501.19393).

A model that marks the end of its thinking by a token can be kept from ending too early, by
forbidding that token, and from going on too long, by writing it. ``ThinkingBudget`` says how much,
and ``ThinkingLimit`` is the ``TokenHook`` that does it. The tokens it writes are marked as forced.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.token_hook import NOTHING, Reaction


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """Bounds on the thinking of one reply.

    Thinking ends with the first token in ``ends``. None of them comes before ``least_steps`` tokens
    ``step``, each of which closes a step. After ``most_tokens`` tokens of thinking, the tokens
    ``close`` are written, which end it and begin the answer (``None``: no limit).
    """

    ends: frozenset[int]
    close: tuple[int, ...]
    step: int
    least_steps: int = 0
    most_tokens: int | None = None

    def __post_init__(self) -> None:
        if not self.close or self.close[0] not in self.ends:
            raise ValueError("close must begin with a token that ends the thinking")
        if self.least_steps < 0:
            raise UserError(f"least_steps must be 0 or more, not {self.least_steps}")
        if self.most_tokens is not None and self.most_tokens < 0:
            raise UserError(f"most_tokens must be 0 or more, not {self.most_tokens}")

    @property
    def ids(self) -> frozenset[int]:
        """All ids that it names."""
        return self.ends | {*self.close, self.step}


class ThinkingLimit:
    """A ``TokenHook`` that keeps one sample within ``budget``; a reply begins with thinking.

    ``stop`` are the tokens that end the reply, which are forbidden as long as thinking may not end.
    """

    def __init__(self, budget: ThinkingBudget, stop: frozenset[int], vocab_size: int) -> None:
        self._budget = budget
        self._thinking, self._steps, self._tokens = True, 0, 0
        self._others_V = torch.ones(vocab_size, dtype=torch.bool)
        self._others_V[list(budget.ends | stop)] = False

    def allowed(self) -> Tensor | None:
        """Everything but the ends, until there are enough steps."""
        early = self._thinking and self._steps < self._budget.least_steps
        return self._others_V if early else None

    def see(self, token_id: int) -> Reaction:
        """Count it, and end the thinking if it was the last one allowed."""
        budget = self._budget
        if not self._thinking:
            return NOTHING
        if token_id in budget.ends:
            self._thinking = False
            return NOTHING
        self._tokens += 1
        self._steps += token_id == budget.step
        if budget.most_tokens is not None and self._tokens >= budget.most_tokens:
            self._thinking = False
            return Reaction(forced=budget.close)
        return NOTHING
