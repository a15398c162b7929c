"""
THE TABLE OF THE DEMO: its page, and which of the API's operations it may ask.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from keystay_server.control.api import V1, routes_of
from keystay_server.control.auth.rights import Authentication
from keystay_server.control.demo.holder import OurPage, check_is_on_this_machine, for_holder
from keystay_server.control.http.files import Assets, Page
from keystay_server.control.schema.operation import Operation
from keystay_server.sessions.service import Sessions
from keystay_server.settings.addresses import parse_address

HOME = "/demo"

_FOR_ALL = frozenset({"openSession"})
_FOR_HOLDERS = frozenset({"changeSession", "endSession", "tellActor", "listConnections"})


@dataclass(frozen=True, slots=True)
class Demo:
    """What the page has to know of the server."""

    listen: str
    """Where clients connect: `ws://HOST:PORT`."""
    activity: str
    """What keeps a session alive beside restoring it, as the setting has it."""


def make_demo(
    demo: Demo, sessions: Sessions, table: Iterable[Operation], deadline_s: float
) -> list[BaseRoute]:
    """
    Make the routes.

    Args:
        table: The operations of the API.
        deadline_s: How long an answer may take before it is `timeout`.
    """
    url = reachable(demo.listen)
    page = Page(__package__, "demo.html", connect=url)

    async def home(request: Request) -> Response:
        check_is_on_this_machine(request)
        return page.answer(url=url, activity=demo.activity)

    rows = [_row(each, sessions) for each in table if each.name in _FOR_ALL | _FOR_HOLDERS]
    return [
        Route(HOME, home, methods=["GET"]),
        Route(f"{HOME}/assets/{{name}}", Assets(__package__).answer, methods=["GET"]),
        Mount(
            HOME + V1,
            Router(routes_of(rows, deadline_s, below=V1), redirect_slashes=False),
            middleware=[Middleware(Authentication, [OurPage()])],
        ),
    ]


def reachable(listen: str) -> str:
    """Where a page on this machine connects to. A policy cannot name an IPv6 address."""
    scheme, _, address = listen.partition("://")
    host, port = parse_address("listen", address)
    with suppress(ValueError):
        ip = ip_address(host)
        if ip.is_unspecified or ip.version == 6:
            host = "localhost"
    return f"{scheme}://{host}:{port}"


def _row(operation: Operation, sessions: Sessions) -> Operation:
    """The operation, for the demo's page: it takes no scope."""
    answer = operation.answer
    if operation.name in _FOR_HOLDERS:
        answer = for_holder(answer, sessions)
    return replace(operation, answer=answer, right=None)
