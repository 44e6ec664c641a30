"""Token hooks: code that follows one sample token by token, and may interfere.

To the model a sample is only ids. Code that needs their text during generation (to find a stop
string, to keep JSON valid, to evaluate an expression) is a ``TokenHook``. It sees every token of
its sample in order. Before a token it may restrict which ones are allowed, and after a token it may
force the next ones or end the sample. The engine knows nothing else about it.

The hooks are in ``stop_texts``, ``calculator``, ``equation_calculator``, ``least_tokens``,
``thinking_budget`` and ``constraint``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a hook wants after a token.

    ``forced`` are the ids that come next, whatever the model predicts; the hook sees them like any
    other tokens. ``finished`` ends the sample; the token just seen is its last.
    """

    forced: tuple[int, ...] = ()
    finished: bool = False


NOTHING = Reaction()
"""The reaction to most tokens."""


class TokenHook(Protocol):
    """Follows one sample; it has state, so every sample of a request needs its own."""

    def allowed(self) -> Tensor | None:
        """Which tokens may come next: bool (V,) on the CPU, not to be written to; ``None`` allows
        all."""
        ...

    def see(self, token_id: int) -> Reaction:
        """The next token is ``token_id``. Called once for each, drawn or forced, in order."""
        ...
