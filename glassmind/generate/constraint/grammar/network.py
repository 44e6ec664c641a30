"""A nondeterministic machine over bytes, and the bound on how large it may grow.

States are numbers. An edge leads from one to another for every byte of a set (the bits of an
integer), a free edge for none. The machine accepts a string if some way from the first state to the
last spells it (Thompson 1968). A network is only built; ``automaton.py`` makes it fit to run.

Patterns and schemas come from strangers, and a dozen characters can ask for 10^9 states. So every
piece of work is paid for from one budget, and who asks for too much is told so in a sentence.
"""

from __future__ import annotations

from glassmind.errors import UserError

MAX_NETWORK = 200_000  # states and edges


def too_large() -> UserError:
    """The error for a language whose machine would not fit."""
    return UserError(
        "the pattern or schema describes too much to be held as a state machine: lower the counts "
        "in it ({m,n}, maxLength, maxItems), the number of its alternatives, or its nesting"
    )


class Network:
    """The machine under construction; ``edges[state]`` are (bytes, target), ``free[state]``
    targets. Raises ``UserError`` when it has grown beyond ``MAX_NETWORK``."""

    def __init__(self) -> None:
        self.edges: list[list[tuple[int, int]]] = []
        self.free: list[list[int]] = []
        self._left = MAX_NETWORK

    def spend(self) -> None:
        """Pay for one piece of work."""
        self._left -= 1
        if self._left < 0:
            raise too_large()

    def state(self) -> int:
        """A new state."""
        self.spend()
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def edge(self, start: int, byte_set: int, end: int) -> None:
        """A way for each byte of the set."""
        self.spend()
        self.edges[start].append((byte_set, end))

    def skip(self, start: int, end: int) -> None:
        """A way for nothing."""
        self.spend()
        self.free[start].append(end)
