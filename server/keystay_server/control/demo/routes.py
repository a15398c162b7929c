"""
THE TABLE OF THE DEMO: its page, and the API operations that it may call.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from keystay_server.control.api import V1, routes_for
from keystay_server.control.auth.rights import Authentication
from keystay_server.control.demo.holder import (
    DemoAuthenticator,
    check_loopback_host,
    require_holder,
)
from keystay_server.control.http.files import Assets, Page
from keystay_server.control.schema.operation import Operation
from keystay_server.sessions.service import Sessions
from keystay_server.settings.addresses import parse_address

HOME = "/demo"

_FOR_ALL = frozenset({"createSession"})
_FOR_HOLDERS = frozenset({"updateSession", "revokeSession", "emitToActor", "listConnections"})


@dataclass(frozen=True, slots=True)
class Demo:
    """What the page needs to know about the server."""

    listen: str
    """The URL for clients: `ws://HOST:PORT`."""
    activity: str
    """The setting `activity`."""


def make_demo(
    demo: Demo, sessions: Sessions, table: Iterable[Operation], deadline_s: float
) -> list[BaseRoute]:
    """
    Make the routes.

    Args:
        table: The operations of the API.
        deadline_s: How long a request may take before it is answered `timeout`.
    """
    url = reachable(demo.listen)
    page = Page(__package__, "demo.html", connect=url)

    async def home(request: Request) -> Response:
        check_loopback_host(request)
        return page.render(url=url, activity=demo.activity)

    rows = [_row(each, sessions) for each in table if each.id in _FOR_ALL | _FOR_HOLDERS]
    return [
        Route(HOME, home, methods=["GET"]),
        Route(f"{HOME}/assets/{{name}}", Assets(__package__).serve, methods=["GET"]),
        Mount(
            HOME + V1,
            Router(routes_for(rows, deadline_s, below=V1), redirect_slashes=False),
            middleware=[Middleware(Authentication, [DemoAuthenticator()])],
        ),
    ]


def reachable(listen: str) -> str:
    """Return the URL for a page on this machine. CSP cannot name an IPv6 address."""
    scheme, _, address = listen.partition("://")
    host, port = parse_address("listen", address)
    with suppress(ValueError):
        ip = ip_address(host)
        if ip.is_unspecified or ip.version == 6:
            host = "localhost"
    return f"{scheme}://{host}:{port}"


def _row(operation: Operation, sessions: Sessions) -> Operation:
    """Return the operation for the demo page: it needs no scope."""
    handler = operation.handler
    if operation.id in _FOR_HOLDERS:
        handler = require_holder(handler, sessions)
    return replace(operation, handler=handler, right=None)
