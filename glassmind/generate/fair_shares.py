"""How the tokens of a pass are shared out among those who ask.

A request for a thousand samples would fill every pass, and whoever asks for one sample beside it
would wait for a thousand tokens to get one. So where several ask, a pass is kept so small that it
takes at most about twice as long as it would for the smallest of them alone.

A pass costs something whatever is in it (the weights are read once), something more for each token
that is drawn, and less for each token of a prompt, which is only read. ``PassCost`` finds all three
from the passes as they come, and counts in *draws*: what one more drawn token costs. The fixed part
is worth a number of draws that are therefore free, in that they at most double the time of a pass.
Everybody gets as many draws as the smallest asks for, and the free ones are dealt out on top.
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
    """How many draws of the next pass each owner gets.

    Args:
        demands: how many it could use, at least 1.
        free: how many draws at most double the time of a pass.

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
    """What a pass costs: fixed + per_draw * drawn + per_read * read.

    The first two are found by least squares over the last passes that only drew, the third is then
    what reading prompts added to others. Errors count in proportion to the time, so that one slow
    pass does not outweigh all others. A pass lasts until the next one begins, because handing out
    its tokens takes time, too, in a server partly in other threads and beside the next pass. So a
    pass only counts if the one before drew about as many tokens.

    ``free`` is how many draws cost as much as the fixed part, from 1 to ``most``. ``read`` is what
    a token of a prompt costs, in draws.
    """

    FREE_AT_FIRST = 8  # before there were passes of different sizes
    READ_AT_FIRST = 0.25
    LEAST_READ = 1 / 64
    _KEPT = 0.98  # of the weight of earlier passes, at each pass

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: tuple[float, ...] = (
            0.0,
        ) * 5  # of 1, x, y, x * x and x * y: x in draws, y in seconds
        self._drawn_before = 0
        self._begun = 0.0
        self._did: tuple[int, int, int] | None = None  # by the pass under way
        self.fixed = self.per_draw = 0.0  # seconds; 0 while not known
        self.free = min(most, self.FREE_AT_FIRST)
        self.read = self.READ_AT_FIRST

    def begin(self, now: float) -> None:
        """A pass begins at ``now``, in seconds, and so the one before has ended."""
        if self._did is not None:
            drawn, read, passes = self._did
            self.see(drawn, read, (now - self._begun) / passes)
        self._begun, self._did = now, None

    def did(self, drawn: int, read: int, passes: int = 1) -> None:
        """What the pass under way draws and reads, as ``see`` counts it, or each of several."""
        self._did = drawn, read, passes

    def pause(self) -> None:
        """No pass follows the one under way, so nothing will say when it ends."""
        self._did = None

    def see(self, drawn: int, read: int, seconds: float) -> None:
        """A pass that drew ``drawn`` tokens and read ``read`` of prompts took ``seconds``."""
        before, self._drawn_before = self._drawn_before, drawn
        if read:
            self._see_reading(drawn, read, seconds)
        elif before <= 2 * drawn and drawn <= 2 * before:
            self._see_drawing(drawn, seconds)

    def _see_drawing(self, drawn: int, seconds: float) -> None:
        weight = 1 / max(seconds, 1e-6) ** 2
        new = (1.0, drawn, seconds, drawn * drawn, drawn * seconds)
        self._sums = tuple(
            self._KEPT * old + weight * one for old, one in zip(self._sums, new, strict=True)
        )
        n, x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread <= 0.01 * n * xx:  # all of about one size: they do not tell the two apart
            return
        self.per_draw = max(0.0, (n * xy - x * y) / spread)
        self.fixed = max(0.0, (y - self.per_draw * x) / n)
        free = self._most if self.per_draw == 0 else self.fixed / self.per_draw
        self.free = round(min(max(free, 1), self._most))

    def _see_reading(self, drawn: int, read: int, seconds: float) -> None:
        if self.per_draw == 0:
            return
        per_read = (seconds - self.fixed - self.per_draw * drawn) / read
        share = min(max(per_read / self.per_draw, self.LEAST_READ), 1.0)
        # One slow pass must not make prompts dear for long: it goes up slowly, and down fast.
        self.read += (share - self.read) * (0.1 if share > self.read else 0.3)
