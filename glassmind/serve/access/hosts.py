"""The host names that a server accepts.

A browser lets a page read only responses from its own origin. An attacker who owns a domain name
can point it at their server first and at 127.0.0.1 a moment later: their page, open in a browser on
this machine, then has the same origin as the server here, and may send it any request (DNS
rebinding; Jackson et al. 2007, "Protecting Browsers from DNS Rebinding Attacks", CCS). Such a
request is recognized by its ``Host`` header, which still has the attacker's name.

So only known names are accepted. An IP address cannot be rebound, so a server that listens beyond
its own machine accepts every address.
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
    """The names of a server that listens on ``bound``: that one, ``localhost``, and ``allowed``
    (``*`` accepts any).

    Raises:
        UserError: one of ``allowed`` is not a host name.
    """

    def __init__(self, bound: str = LOOPBACK, allowed: Collection[str] = ()) -> None:
        self._any = ANY in allowed
        self._only_loopback = is_loopback(bound)
        self._names = {"localhost", _plain(bound), *map(_checked, set(allowed) - {ANY})}

    def allow(self, header: str) -> bool:
        """Whether a request with this ``Host`` is meant for this server. Every browser sends the
        header; a client without it is an old health check, and harmless."""
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
    """Whether a server that listens on this address can be reached from this machine only."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _checked(name: str) -> str:
    if re.fullmatch(_NAME, name) is None:
        raise UserError(
            f"a host's name must be like chat.example.org, without scheme and port, not {name!r}"
        )
    return _plain(name)


def _plain(name: str) -> str:
    """The canonical spelling of a name."""
    return name.strip("[]").lower().removesuffix(".")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
