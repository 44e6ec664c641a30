"""The memory that requests and answers may take, over all connections.

A limit on the size of one body does not limit the memory of a thousand bodies, or of answers that
clients do not read. So all requests share one budget. Every request has an account, to which its
body and its answer are charged at their upper bounds before memory is allocated; the account is
closed when the response has been sent.
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
    """The share of ``memory`` that one request takes."""

    memory: Memory
    taken: int = field(default=0, init=False)

    def take(self, n_bytes: int, *, param: str | None = None) -> None:
        """Charge ``n_bytes`` more.

        Raises ``Refusal``: 400 if this request alone would take more than half of the budget, 503
        if other requests leave too little of it.
        """
        memory = self.memory
        if self.taken + n_bytes > memory.most // 2:
            raise Refusal(
                400,
                f"this request and its answer could take {_mb(self.taken + n_bytes)} MB of memory; "
                f"the most is {_mb(memory.most // 2)} MB: ask for fewer samples, tokens or "
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
