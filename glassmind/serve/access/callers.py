"""The sender of a request, as the gate has identified it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from glassmind.serve.access.memory import Account


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of one request: ``client`` is a key or, without keys, an address; ``account``
    holds the memory of this request."""

    client: str
    account: Account


def caller_of(request: Request) -> Caller:
    """The caller that the gate has identified."""
    caller: Caller = request.state.caller
    return caller
