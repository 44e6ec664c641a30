"""What follows one row token by token, and may interfere.

A model's row is only ids. Whatever needs to know what they *mean* while they come (has the text
reached a stop string, which tokens keep it valid JSON, is there a sum to be worked out) is a
``Companion``: it sees every token of its row in order, may say beforehand which tokens are allowed,
and may afterwards force the next ones or end the row. The engine knows nothing else about it.

The companions are in ``stop_texts``, ``calculator``, and the files of ``constraint``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a companion wants after a token.

    ``forced`` are the ids that come next, whatever the model thinks; the companion is shown them
    like any others. ``finished`` ends the row; the token just seen is its last.
    """

    forced: tuple[int, ...] = ()
    finished: bool = False


NOTHING = Reaction()
"""What a companion says to most tokens."""


class Companion(Protocol):
    """Follows one row; has state, so every sample of a request needs one of its own."""

    def allowed(self) -> Tensor | None:
        """Which tokens may come next: bool (V,), not to be written to; ``None`` allows all."""
        ...

    def see(self, token_id: int) -> Reaction:
        """The row's next token is ``token_id``: drawn or forced, each exactly once, in order."""
        ...
