"""
Which requests may open a WebSocket: what is checked before the upgrade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from keystay_protocol.session import SECRET_PREFIX
from keystay_server.gateway.limits import Full
from keystay_server.settings.addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP answer to a request that is not upgraded."""

    status: HTTPStatus
    text: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """
    Which pages may connect.

    A request without Origin does not come from a browser and passes. `allowed`
    lists origins (`https://game.example`), `*` for any; if it is empty, the
    page must come from the host that it connects to. `loopback` lets any page
    of this machine in, for development.
    """

    allowed: frozenset[str] = frozenset()
    loopback: bool = False

    def admits(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page of this origin may connect to this host."""
        if origin is None or "*" in self.allowed or origin in self.allowed:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if self.loopback and is_loopback(parts.hostname):
            return True
        return not self.allowed and bool(host) and parts.netloc.lower() == str(host).lower()


def refusal_of_request(
    path: str, origins: Sequence[str], hosts: Sequence[str], policy: OriginPolicy
) -> Refusal | None:
    """Return the refusal of a request, or None if it is accepted."""
    if SECRET_PREFIX in unquote(path):
        return Refusal(
            HTTPStatus.BAD_REQUEST,
            "Never put a session key in a URL: URLs end up in logs. Send session.restore.\n",
        )
    if len(hosts) > 1:  # RFC 9112, 3.2
        return Refusal(HTTPStatus.BAD_REQUEST, "More than one Host header.\n")
    host = hosts[0] if hosts else None
    # RFC 6454, 7.3: there is one Origin at most.
    if len(origins) > 1 or not policy.admits(origins[0] if origins else None, host):
        return Refusal(
            HTTPStatus.FORBIDDEN,
            "Pages of this origin may not connect: see the setting `origins`.\n",
        )
    return None


def refusal_of_load(full: Full) -> Refusal:
    """Return the refusal for a connection beyond a limit."""
    match full:
        case Full.ADDRESS:
            return Refusal(
                HTTPStatus.TOO_MANY_REQUESTS, "Too many connections from this address.\n", 5
            )
        case Full.NODE:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This node is full.\n", 5)
