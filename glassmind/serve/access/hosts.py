"""By which names a server may be called.

A browser lets a page read only what comes from the page's own name. A stranger who owns a name can
have it point to their server first and to 127.0.0.1 a moment later: then a page of theirs, open in
a browser on this machine, is of the same origin as whatever listens here, and may ask it anything
(DNS rebinding; Jackson et al. 2007, "Protecting Browsers from DNS Rebinding Attacks", CCS). What
gives such a request away is its ``Host`` header, which still says the stranger's name.

So a name has to be known here. An address is no name, and nobody can have it point elsewhere: a
server that listens beyond its own machine answers to every address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from glassmind.errors import UserError

ANY = "*"
LOOPBACK = "127.0.0.1"

_NAME = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"  # an IPv6 address stands in brackets
_HEADER = re.compile(_NAME + "(:[0-9]{0,5})?")


class Hosts:
    """What a server that listens on ``bound`` may be called: that, ``localhost``, and ``allowed``
    (``*`` is anything).

    Raises:
        UserError: one of ``allowed`` is no name.
    """

    def __init__(self, bound: str = LOOPBACK, allowed: Collection[str] = ()) -> None:
        self._any = ANY in allowed
        self._only_loopback = is_loopback(bound)
        self._names = {"localhost", _plain(bound), *map(_checked, set(allowed) - {ANY})}

    def allow(self, header: str) -> bool:
        """Whether a request with this ``Host`` is meant for this server. Every browser sends one;
        what sends none is an old health check, and no danger."""
        if self._any or not header:
            return True
        found = _HEADER.fullmatch(header)
        if found is None:
            return False
        host = _plain(found[1])
        address = _address(host)
        if address is not None and (address.is_loopback or not self._only_loopback):
            return True
        return host in self._names


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _checked(name: str) -> str:
    if re.fullmatch(_NAME, name) is None:
        raise UserError(
            f"a host's name must be like chat.example.org, without scheme and port, not {name!r}"
        )
    return _plain(name)


def _plain(name: str) -> str:
    """Names that mean the same, written the same."""
    return name.strip("[]").lower().removesuffix(".")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
