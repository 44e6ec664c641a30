"""How the tokens of a pass are shared out among those who ask.

A request for a thousand samples would fill every pass, and whoever asks for one sample beside it
would wait for a thousand tokens to get one. So where several ask, a pass is kept so small that it
takes at most about twice as long as it would for the smallest of them alone.

A pass costs something whatever is in it (the weights are read once), and something more for each
token: seconds = fixed + per_token * tokens. ``PassCost`` finds both from the passes as they come.
``fixed / per_token`` tokens are therefore free, in that they at most double the time of a pass.
Everybody gets as many tokens as the smallest asks for, and the free ones are dealt out on top.
What that leaves is shared by the rule of max-min fairness: nobody gets more as long as another who
wants more has less (Demers, Keshav and Shenker 1989, SIGCOMM, "Analysis and Simulation of a Fair
Queueing Algorithm").
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Owner = tuple[str, int]
"""Who a sample is for: a client, and which of its requests."""

NOBODY: Owner = ("", 0)

K = TypeVar("K", bound=Hashable)


def shares(demands: Mapping[Owner, int], free: int) -> dict[Owner, int]:
    """How many tokens of the next pass each owner gets.

    Args:
        demands: how many it could use, at least 1.
        free: how many tokens at most double the time of a pass.

    Clients share first, then the requests of each client, so that many requests are not worth more
    than one. A request may get 0, but every client gets at least 1.
    """
    clients: dict[str, dict[Owner, int]] = {}
    for owner, demand in demands.items():
        clients.setdefault(owner[0], {})[owner] = demand
    if len(clients) == 1:
        return _dealt(demands, _fair_total(demands, free))
    of_client = {client: sum(requests.values()) for client, requests in clients.items()}
    dealt = _dealt(of_client, _fair_total(of_client, free))
    return {
        owner: share
        for client, requests in clients.items()
        for owner, share in _dealt(requests, dealt[client]).items()
    }


def _fair_total(demands: Mapping[K, int], free: int) -> int:
    return min(demands.values()) * len(demands) + free


def _dealt(demands: Mapping[K, int], total: int) -> dict[K, int]:
    """``total`` shared out by max-min fairness; where it cannot be divided, the first get more."""
    given: dict[K, int] = {}
    left = total
    smallest_first = sorted(demands, key=lambda owner: demands[owner])
    for number, owner in enumerate(smallest_first):
        owners_left = len(smallest_first) - number
        given[owner] = min(demands[owner], -(-left // owners_left))
        left -= given[owner]
    return given


class PassCost:
    """What a pass costs: fixed + per_token * tokens, by least squares over the last passes.

    Errors count in proportion to the time, so that one slow pass does not outweigh all others.
    ``free`` is the number of tokens that cost as much as the fixed part, at least 1 and at most
    ``most``.
    """

    FREE_AT_FIRST = 8  # before there were passes of different sizes
    _KEPT = 0.98  # of the weight of earlier passes, at each pass

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: tuple[float, ...] = (
            0.0,
        ) * 5  # of 1, x, y, x * x and x * y: x in tokens, y in seconds
        self.free = min(most, self.FREE_AT_FIRST)

    def see(self, tokens: int, seconds: float) -> None:
        """A pass of ``tokens`` tokens took ``seconds``."""
        weight = 1 / max(seconds, 1e-6) ** 2
        new = (1.0, tokens, seconds, tokens * tokens, tokens * seconds)
        self._sums = tuple(
            self._KEPT * old + weight * one for old, one in zip(self._sums, new, strict=True)
        )
        n, x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread <= 0.01 * n * xx:  # all of about one size: they do not tell the two apart
            return
        per_token = (n * xy - x * y) / spread
        fixed = (y - per_token * x) / n
        free = self._most if per_token <= 0 else fixed / per_token
        self.free = round(min(max(free, 1), self._most))
