"""
Who asks, told by the cookie of somebody who logged in at the dashboard.
"""

from starlette.requests import Request

from keystay_server.control.auth.key_ring import KeyRing
from keystay_server.control.auth.rights import Principal
from keystay_server.control.dashboard.guard import visitor
from keystay_server.control.dashboard.ticket import Tickets


class Visitors:
    """Knows who asks by the dashboard's cookie; an API key that is sent goes before."""

    def __init__(self, tickets: Tickets, keys: KeyRing) -> None:
        self._tickets = tickets
        self._keys = keys

    def principal(self, request: Request) -> Principal | None:
        """Tell with which key they logged in; None if there is no cookie that counts."""
        if "authorization" in request.headers:
            return None
        name = visitor(request, self._tickets)
        key = None if name is None else self._keys.named(name)
        return None if key is None else Principal(key.name, key.rights)
