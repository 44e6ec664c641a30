"""The memory that requests and answers may take, over all connections.

A limit on one body does not limit a thousand of them, nor answers that their clients do not read.
So every request has an account with one budget: its body and its answer are entered before they
exist, at their upper bound, and the whole account is closed when the response has been sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from glassmind.serve.access.refusals import Refusal


class Memory:
    """A budget of ``most`` bytes, for one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0


@dataclass(slots=True)
class Account:
    """What one request takes of ``memory``."""

    memory: Memory
    taken: int = field(default=0, init=False)

    def take(self, n_bytes: int, *, param: str | None = None) -> None:
        """Enter ``n_bytes`` more.

        Raises ``Refusal``: 400 if this request alone would take more than half of the budget, 503
        if others have taken what it needs.
        """
        memory = self.memory
        if self.taken + n_bytes > memory.most // 2:
            raise Refusal(
                400,
                f"this request and its answer could take {_mb(self.taken + n_bytes)} MB of memory; "
                f"{_mb(memory.most // 2)} MB are the most: ask for fewer samples, tokens or "
                "log-probabilities",
                param=param,
                code="answer_too_large",
            )
        if memory.taken + n_bytes > memory.most:
            raise Refusal(
                503, "the server's memory for requests is full; try again", code="busy",
                retry_after=1,
            )  # fmt: skip
        memory.taken += n_bytes
        self.taken += n_bytes

    def close(self) -> None:
        """Give everything back."""
        self.memory.taken -= self.taken
        self.taken = 0


def _mb(n_bytes: int) -> int:
    return -(-n_bytes // (1 << 20))
