"""
Runs the control port: uvicorn as a part of this process.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from keystay_server.control.api import Endpoints, make_api, operations
from keystay_server.control.auth.bearer import BearerAuthenticator
from keystay_server.control.auth.key_ring import KeyRing
from keystay_server.control.auth.wrong_keys import WrongKeys
from keystay_server.control.dashboard.cookie import CookieAuthenticator, Cookies
from keystay_server.control.dashboard.routes import make_pages, make_tickets
from keystay_server.control.demo.routes import Demo, make_demo
from keystay_server.control.endpoints.connections import ConnectionEndpoints
from keystay_server.control.endpoints.events import EventEndpoints
from keystay_server.control.endpoints.feed import FeedEndpoints
from keystay_server.control.endpoints.health import HealthEndpoints
from keystay_server.control.endpoints.sessions import SessionEndpoints
from keystay_server.control.endpoints.telemetry import TelemetryEndpoints
from keystay_server.control.http.idle_connections import IdleConnections
from keystay_server.delivery.hub import Hub
from keystay_server.feed.subscriptions import Feed
from keystay_server.node.descriptors import backend_connections, descriptor_limit
from keystay_server.node.directory import ConnectionDirectory
from keystay_server.node.listening import listening_sockets
from keystay_server.sessions.service import Sessions

MAX_CONNECTIONS = 1024
IDLE_S = 65
START_S = 5.0
CLOSE_S = 1.0

_HEADERS = [("X-Content-Type-Options", "nosniff")]


class ControlServer:
    """
    The control port.

    Args:
        deadline_s: How long a request may take.
        drain_s: How long open requests may take when the server stops.
        slow_s: How long a subscriber of the feed may read nothing.
    """

    def __init__(
        self,
        sessions: Sessions,
        hub: Hub,
        telemetry: TelemetryEndpoints,
        directory: ConnectionDirectory,
        feed: Feed,
        *,
        deadline_s: float,
        drain_s: float,
        slow_s: float | None = 10.0,
    ) -> None:
        self._sessions = sessions
        self._endpoints = Endpoints(
            SessionEndpoints(sessions, hub),
            EventEndpoints(sessions, hub),
            ConnectionEndpoints(directory),
            FeedEndpoints(feed, slow_s),
            HealthEndpoints(sessions),
            telemetry,
        )
        self._deadline_s = deadline_s
        self._drain_s = drain_s
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(
        self,
        host: str,
        port: int,
        keys: KeyRing,
        tls: ssl.SSLContext | None = None,
        demo: Demo | None = None,
    ) -> int:
        """
        Start to serve; return the port, which the system chooses for 0.

        Args:
            tls: None: plain HTTP.
            demo: The settings of the demo; None: no demo.

        Raises:
            OSError: If the address cannot be listened on.
        """
        sockets = await listening_sockets(host, port)
        tickets = make_tickets(keys)
        wrong_keys = WrongKeys()  # One for all: its limits are those of the node.
        cookies = Cookies(tickets, wrong_keys)
        pages: list[BaseRoute] = [*make_pages(tickets, cookies, wrong_keys)]
        if demo is not None:
            table = operations(self._endpoints)
            pages += make_demo(demo, self._sessions, table, self._deadline_s)
        api = make_api(
            self._endpoints,
            [CookieAuthenticator(cookies, keys), BearerAuthenticator(keys, wrong_keys)],
            deadline_s=self._deadline_s,
            pages=pages,
        )
        config = _configured(api, self._drain_s)
        config.load()
        config.ssl = tls
        self._uvicorn = _Uvicorn(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets), name="control port")
        await self._uvicorn.is_open(self._serving)
        chosen: int = sockets[0].getsockname()[1]
        return chosen

    def depend_on(self, is_serving: Callable[[], bool]) -> None:
        """Be ready only while this says so."""
        self._endpoints.health.is_serving = is_serving

    def drain(self) -> None:
        """Report to load balancers that this node shuts down; serve on."""
        self._endpoints.health.is_draining = True

    async def stop(self) -> None:
        """Accept no new requests, finish the open ones, close."""
        if self._uvicorn is None or self._serving is None:
            return
        self._uvicorn.should_exit = True
        _, late = await asyncio.wait({self._serving}, timeout=self._drain_s + CLOSE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)


class _Uvicorn(uvicorn.Server):
    """uvicorn without control over the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._opened = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._opened.set()

    async def is_open(self, serving: "asyncio.Task[None]") -> None:
        """Return once connections are accepted, or raise the error that prevents it."""
        serving.add_done_callback(lambda _: self._opened.set())
        async with asyncio.timeout(START_S):
            await self._opened.wait()
        if serving.done():
            serving.result()


def _http_protocol(most: int) -> Callable[..., asyncio.Protocol] | str:
    try:
        from keystay_server.control.http.bounded_http import BoundedHttp
    except ImportError:  # PyPy has no httptools. h11 has bounds of its own.
        return "h11"
    return partial(BoundedHttp, IdleConnections(most))


def _configured(api: ASGIApp, drain_s: float) -> uvicorn.Config:
    most = backend_connections(descriptor_limit(), MAX_CONNECTIONS)
    return uvicorn.Config(
        api,
        interface="asgi3",
        loop="none",
        http=_http_protocol(most),  # type: ignore[arg-type]  # a factory works as well as a class
        ws="none",
        lifespan="off",
        workers=1,
        log_config=None,
        # Its warnings are about malformed requests; nothing is logged per message.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=_HEADERS,
        # uvicorn answers 503 at its limit, not beyond it: only if no connection is idle.
        limit_concurrency=most + 1,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=math.ceil(drain_s),
    )
