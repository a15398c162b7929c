"""
THE TABLE OF PATHS: what backends can ask for, who answers, and which scope it takes.

To add a path: write its answer in the module of its noun, the shapes of what
goes to and fro in `shapes`, and its row here. The description of the API
(`openapi`) is made of these rows.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from keystay_protocol.errors import Timeout
from keystay_server.control.auth.rights import Authentication, Authenticator, Right, require
from keystay_server.control.endpoints.connections import ConnectionEndpoints
from keystay_server.control.endpoints.events import EventEndpoints
from keystay_server.control.endpoints.feed import FeedEndpoints
from keystay_server.control.endpoints.health import HealthEndpoints
from keystay_server.control.endpoints.sessions import SessionEndpoints
from keystay_server.control.endpoints.telemetry import TelemetryEndpoints
from keystay_server.control.http.caching import NoStore
from keystay_server.control.http.problems import HANDLERS, MEDIA_TYPE
from keystay_server.control.schema.json_schema import TEXT, Field
from keystay_server.control.schema.openapi import PROBLEM, describe
from keystay_server.control.schema.operation import Answer, Operation, Reply
from keystay_server.control.schema.shapes import (
    AFTER,
    CHANGE,
    CONNECTIONS,
    ENDED,
    EVENT,
    LIMIT,
    OPENING,
    REASON_PARAMETER,
    REASSIGNMENT,
    SAID,
    SESSION,
    SESSION_WITH_KEY,
    SESSIONS,
    STATS,
    STATUS,
)

V1 = "/v1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who answers."""

    sessions: SessionEndpoints
    events: EventEndpoints
    connections: ConnectionEndpoints
    feed: FeedEndpoints
    health: HealthEndpoints
    telemetry: TelemetryEndpoints


def operations(endpoints: Endpoints) -> tuple[Operation, ...]:
    """The table."""
    return (
        *_of_sessions(endpoints.sessions),
        *_of_actors(endpoints.sessions, endpoints.connections),
        *_of_events(endpoints.events),
        *_of_nodes(endpoints.telemetry, endpoints.feed),
        *_for_everybody(endpoints.health, endpoints.telemetry),
    )


def _of_sessions(sessions: SessionEndpoints) -> Iterable[Operation]:
    opened = {201: Reply("the session, with its key", SESSION_WITH_KEY)}
    shown = {200: Reply("the session as it is now", SESSION)}
    one = "/v1/sessions/{id}"
    yield Operation(
        *("openSession", "POST", "/v1/sessions", sessions.create),
        *("Open a session.", Right.SESSIONS, opened),
        body=OPENING,
        refusals=(404, 409, 410),
        is_idempotent=True,
    )
    yield Operation(
        *("showSession", "GET", one, sessions.show),
        *("Show a session, without its key.", Right.READ, shown),
    )
    yield Operation(
        *("changeSession", "PATCH", one, sessions.change),
        *("Change meta and language, each as a whole.", Right.SESSIONS, shown),
        body=CHANGE,
        refusals=(409,),
    )
    yield Operation(
        *("endSession", "DELETE", one, sessions.end),
        *("End a session.", Right.SESSIONS, {204: Reply("it ended")}),
        query=(REASON_PARAMETER,),
    )
    yield Operation(
        *("reassignSession", "POST", f"{one}/reassign", sessions.reassign),
        *("Open a session for another actor, and end this one.", Right.SESSIONS, opened),
        body=REASSIGNMENT,
        refusals=(409, 410),
        is_idempotent=True,
    )


def _of_actors(
    sessions: SessionEndpoints, connections: ConnectionEndpoints
) -> Iterable[Operation]:
    path = "/v1/actors/{actorId}/sessions"
    yield Operation(
        *("listSessions", "GET", path, sessions.list_),
        *("List the live sessions of an actor.", Right.READ),
        {200: Reply("a page of them, the oldest first", SESSIONS)},
        query=(LIMIT, AFTER),
        refusals=(404,),
    )
    yield Operation(
        *("endSessions", "DELETE", path, sessions.end_all),
        *("End all sessions of an actor.", Right.SESSIONS),
        {200: Reply("they ended", ENDED)},
        query=(REASON_PARAMETER,),
    )
    yield Operation(
        *("listConnections", "GET", "/v1/actors/{actorId}/connections", connections.list_),
        *("List the connections of an actor, over all nodes.", Right.READ),
        {200: Reply("those bound to its sessions", CONNECTIONS)},
    )


def _of_events(events: EventEndpoints) -> Iterable[Operation]:
    said = {201: Reply("said, and kept in the actor's history", SAID)}
    yield Operation(
        *("tellSession", "POST", "/v1/sessions/{id}/events", events.to_session),
        *("Say something to the connections of a session.", Right.EVENTS, said),
        body=EVENT,
        is_idempotent=True,
    )
    yield Operation(
        *("tellActor", "POST", "/v1/actors/{actorId}/events", events.to_actor),
        *("Say something to all sessions of an actor.", Right.EVENTS, said),
        body=EVENT,
        is_idempotent=True,
    )
    yield Operation(
        *("tellAll", "POST", "/v1/events", events.to_all),
        *("Say something to whoever is connected now.", Right.EVENTS, {202: Reply("said")}),
        body=EVENT,
    )


def _of_nodes(telemetry: TelemetryEndpoints, feed: FeedEndpoints) -> Iterable[Operation]:
    yield Operation(
        *("showStats", "GET", "/v1/stats", telemetry.stats),
        *("Show how all nodes are.", Right.READ, {200: Reply("all nodes", STATS)}),
    )
    yield Operation(
        *("follow", "GET", "/v1/feed", feed.listen),
        *("Follow what becomes of sessions.", Right.READ),
        {200: Reply("server-sent events", media_type="text/event-stream")},
        query=(Field("actor", TEXT, "whose sessions, may be repeated; else everybody's"),),
        refusals=(404, 503),
        has_deadline=False,
    )


def _for_everybody(
    health: HealthEndpoints, telemetry: TelemetryEndpoints
) -> Iterable[Operation]:
    status = {200: Reply("yes", STATUS)}
    yield Operation(
        *("isAlive", "GET", "/livez", health.livez),
        *("Is the process alive?", None, status),
    )
    yield Operation(
        *("isReady", "GET", "/readyz", health.readyz),
        *("Should it be sent clients?", None),
        {**status, 503: Reply("no", PROBLEM, MEDIA_TYPE)},
    )
    yield Operation(
        *("readMetrics", "GET", "/metrics", telemetry.metrics),
        *("Read the metrics of this node.", None),
        {200: Reply("for Prometheus", media_type="text/plain")},
    )


def make_api(
    endpoints: Endpoints,
    ways: Sequence[Authenticator],
    *,
    deadline_s: float,
    pages: Sequence[BaseRoute] = (),
) -> Starlette:
    """
    Make the ASGI application.

    Args:
        ways: How to tell who asks, the first that can tell counts.
        deadline_s: How long an answer may take before it is `timeout`.
        pages: What is there beside the API.
    """
    table = operations(endpoints)
    guarded = [row for row in table if row.right is not None]
    description = Route(f"{V1}/openapi.json", _saying(describe(table)), methods=["GET"])
    return _strict(
        *pages,
        *routes_of([row for row in table if row.right is None], deadline_s),
        description,
        Mount(
            V1,
            Router(routes_of(guarded, deadline_s, below=V1), redirect_slashes=False),
            middleware=[Middleware(Authentication, ways)],
        ),
    )


def _strict(*routes: BaseRoute) -> Starlette:
    app = Starlette(
        routes=routes,
        middleware=[Middleware(NoStore), Middleware(RawPath)],
        exception_handlers=HANDLERS,
    )
    # A path with a slash too many is another path, and its redirect would trust `Host`.
    app.router.redirect_slashes = False
    return app


def routes_of(
    table: Iterable[Operation], deadline_s: float, *, below: str = ""
) -> list[BaseRoute]:
    """Make a route for each path, which knows all of its methods."""
    paths: dict[str, list[Operation]] = {}
    for operation in table:
        paths.setdefault(operation.path.removeprefix(below), []).append(operation)
    return [
        Route(path, _answering(rows, deadline_s), methods=[row.method for row in rows])
        for path, rows in paths.items()
    ]


def _answering(rows: Iterable[Operation], deadline_s: float) -> Answer:
    """One path's answers, under a deadline that includes reading the body."""
    by_method = {row.method: row for row in rows}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = by_method[method]
        if operation.right is not None:
            require(request, operation.right)
        try:
            async with asyncio.timeout(deadline_s if operation.has_deadline else None):
                return await operation.answer(request)
        except TimeoutError:
            raise Timeout("it took too long; it may have been carried out") from None

    return answer


def _saying(document: dict[str, object]) -> Answer:
    async def answer(_: Request) -> Response:
        return JSONResponse(document)

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
