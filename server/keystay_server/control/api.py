"""
THE TABLE OF PATHS: what backends can ask for, and who answers.

To add a path: write its answer in the module of its noun, and its row here.
Whatever is below `/v1` needs the API key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from keystay_protocol.errors import Timeout
from keystay_server.control.auth import BearerAuth
from keystay_server.control.events import EventEndpoints
from keystay_server.control.health import HealthEndpoints
from keystay_server.control.problems import HANDLERS
from keystay_server.control.sessions import SessionEndpoints

Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who answers."""

    sessions: SessionEndpoints
    events: EventEndpoints
    health: HealthEndpoints


def make_api(endpoints: Endpoints, api_key: str, *, deadline_s: float) -> Starlette:
    """
    Make the ASGI application.

    Args:
        deadline_s: How long an answer may take before it is `timeout`.
    """

    def row(path: str, **answers: Answer) -> Route:
        return Route(path, _within(deadline_s, answers), methods=list(answers))

    sessions, events, health = endpoints.sessions, endpoints.events, endpoints.health
    v1 = [
        row("/sessions", POST=sessions.create),
        row("/sessions/{id}", GET=sessions.show, PATCH=sessions.change, DELETE=sessions.end),
        row("/sessions/{id}/reassign", POST=sessions.reassign),
        row("/sessions/{id}/events", POST=events.to_session),
        row("/actors/{actorId}/sessions", GET=sessions.list_, DELETE=sessions.end_all),
        row("/actors/{actorId}/events", POST=events.to_actor),
        row("/events", POST=events.to_all),
    ]
    return _strict(
        row("/livez", GET=health.livez),
        row("/readyz", GET=health.readyz),
        Mount(
            "/v1",
            Router(v1, redirect_slashes=False),
            middleware=[Middleware(BearerAuth, api_key)],
        ),
    )


def _strict(*routes: Route | Mount) -> Starlette:
    app = Starlette(
        routes=routes, middleware=[Middleware(RawPath)], exception_handlers=HANDLERS
    )
    # A path with a slash too many is another path, and its redirect would trust `Host`.
    app.router.redirect_slashes = False
    return app


def _within(deadline_s: float, answers: dict[str, Answer]) -> Answer:
    """One path's answers, by method, under a deadline that includes reading the body."""

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            async with asyncio.timeout(deadline_s):
                return await answers[method](request)
        except TimeoutError:
            raise Timeout("it took too long; it may have been carried out") from None

    return answer


class RawPath:
    """
    Finds the way by the path as it was sent.

    An actor id may hold slashes: only what is still percent-encoded can be
    told from the slashes between the parts of a path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        await self._app({**scope, "path": scope["raw_path"].decode("ascii")}, receive, send)
