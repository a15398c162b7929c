"""
THE TABLE OF OPERATIONS: paths, handlers, and the scope each one needs.

To add an operation: write its handler in the module of its noun, the shapes of its
bodies in `shapes`, and its row here. The OpenAPI document is made of these rows.
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
from keystay_server.control.http.one_host import OneHost
from keystay_server.control.http.problems import HANDLERS, MEDIA_TYPE
from keystay_server.control.schema.json_schema import TEXT, Field
from keystay_server.control.schema.openapi import PROBLEM, describe
from keystay_server.control.schema.operation import Handler, Operation, ResponseSpec
from keystay_server.control.schema.shapes import (
    ACTOR,
    ACTOR_EVENT,
    ACTORS,
    AFTER,
    CONNECTIONS,
    EMITTED,
    EVENT,
    LIMIT,
    PAST_EVENTS,
    PREFIX,
    REASON_PARAMETER,
    REASSIGNMENT,
    REVOKED,
    SESSION,
    SESSION_REQUEST,
    SESSION_UPDATE,
    SESSION_WITH_KEY,
    SESSIONS,
    STATS,
    STATUS,
)

V1 = "/v1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The handlers."""

    sessions: SessionEndpoints
    events: EventEndpoints
    connections: ConnectionEndpoints
    feed: FeedEndpoints
    health: HealthEndpoints
    telemetry: TelemetryEndpoints


def operations(endpoints: Endpoints) -> tuple[Operation, ...]:
    """The table."""
    return (
        *_session_operations(endpoints.sessions),
        *_actor_operations(endpoints.sessions, endpoints.connections),
        *_event_operations(endpoints.events),
        *_node_operations(endpoints.telemetry, endpoints.feed),
        *_public_operations(endpoints.health, endpoints.telemetry),
    )


def _session_operations(sessions: SessionEndpoints) -> Iterable[Operation]:
    created = {201: ResponseSpec("the session, with its key", SESSION_WITH_KEY)}
    current = {200: ResponseSpec("the session as it is now", SESSION)}
    one = "/v1/sessions/{id}"
    yield Operation(
        *("createSession", "POST", "/v1/sessions", sessions.create),
        *("Create a session.", Right.SESSIONS, created),
        body=SESSION_REQUEST,
        error_statuses=(404, 409, 410),
        is_idempotent=True,
    )
    yield Operation(
        *("getSession", "GET", one, sessions.get),
        *("Get a session, without its key.", Right.READ, current),
    )
    yield Operation(
        *("updateSession", "PATCH", one, sessions.update),
        *("Replace the meta, the language, or both.", Right.SESSIONS, current),
        body=SESSION_UPDATE,
        error_statuses=(409,),
    )
    yield Operation(
        *("revokeSession", "DELETE", one, sessions.revoke),
        *("End a session.", Right.SESSIONS, {204: ResponseSpec("it ended")}),
        query=(REASON_PARAMETER,),
    )
    yield Operation(
        *("reassignSession", "POST", f"{one}/reassign", sessions.reassign),
        *("Create a session for another actor, and end this one.", Right.SESSIONS, created),
        body=REASSIGNMENT,
        error_statuses=(409, 410),
        is_idempotent=True,
    )


def _actor_operations(
    sessions: SessionEndpoints, connections: ConnectionEndpoints
) -> Iterable[Operation]:
    yield Operation(
        *("findActors", "GET", "/v1/actors", connections.find_actors),
        *("Find actors that have connections now, by the beginning of their ids.", Right.READ),
        {200: ResponseSpec("some of them", ACTORS)},
        query=(PREFIX,),
    )
    # Each exists twice: proxies rewrite some ids in a path, and none in a query.
    for suffix, path, actor in (("", "/v1/actors/{actorId}", ()), ("ByQuery", "/v1", (ACTOR,))):
        yield Operation(
            *(f"listSessions{suffix}", "GET", f"{path}/sessions", sessions.list_),
            *("List the live sessions of an actor.", Right.READ),
            {200: ResponseSpec("a page, oldest first", SESSIONS)},
            query=(*actor, LIMIT, AFTER),
            error_statuses=(404,),
        )
        yield Operation(
            *(f"revokeSessions{suffix}", "DELETE", f"{path}/sessions", sessions.revoke_all),
            *("End all sessions of an actor.", Right.SESSIONS),
            {200: ResponseSpec("how many ended", REVOKED)},
            query=(*actor, REASON_PARAMETER),
        )
        yield Operation(
            *(f"listConnections{suffix}", "GET", f"{path}/connections", connections.list_),
            *("List the connections of an actor, over all nodes.", Right.READ),
            {200: ResponseSpec("those bound to its sessions", CONNECTIONS)},
            query=actor,
        )


def _event_operations(events: EventEndpoints) -> Iterable[Operation]:
    for suffix, path, actor in (("", "/v1/actors/{actorId}", ()), ("ByQuery", "/v1", (ACTOR,))):
        yield Operation(
            *(f"listEvents{suffix}", "GET", f"{path}/events", events.list_),
            *("List the newest events of an actor.", Right.READ),
            {200: ResponseSpec("those that are kept", PAST_EVENTS)},
            query=actor,
        )
    emitted = {201: ResponseSpec("sent, and kept in the actor's history", EMITTED)}
    yield Operation(
        *("emitToSession", "POST", "/v1/sessions/{id}/events", events.to_session),
        *("Send an event to the connections of a session.", Right.EVENTS, emitted),
        body=EVENT,
        is_idempotent=True,
    )
    yield Operation(
        *("emitToActor", "POST", "/v1/actors/{actorId}/events", events.to_actor),
        *("Send an event to all sessions of an actor.", Right.EVENTS, emitted),
        body=EVENT,
        is_idempotent=True,
    )
    yield Operation(
        *("emit", "POST", "/v1/emit", events.emit),
        *("Send an event to all sessions of the actor in the body.", Right.EVENTS, emitted),
        body=ACTOR_EVENT,
        is_idempotent=True,
    )
    # No other path becomes this one when a proxy or a client removes dot segments.
    yield Operation(
        *("broadcast", "POST", "/v1/broadcast", events.broadcast),
        *("Send an event to every connection that is open now.", Right.EVENTS),
        {202: ResponseSpec("sent")},
        body=EVENT,
    )


def _node_operations(telemetry: TelemetryEndpoints, feed: FeedEndpoints) -> Iterable[Operation]:
    yield Operation(
        *("getStats", "GET", "/v1/stats", telemetry.stats),
        *("Get the statistics of all nodes.", Right.READ),
        {200: ResponseSpec("all nodes", STATS)},
    )
    yield Operation(
        *("feed", "GET", "/v1/feed", feed.stream),
        *("Stream the changes of sessions.", Right.READ),
        {200: ResponseSpec("server-sent events", media_type="text/event-stream")},
        query=(Field("actor", TEXT, "only this actor's sessions; may be repeated"),),
        error_statuses=(404, 503),
        has_deadline=False,
    )


def _public_operations(
    health: HealthEndpoints, telemetry: TelemetryEndpoints
) -> Iterable[Operation]:
    status = {200: ResponseSpec("yes", STATUS)}
    yield Operation(
        *("getLiveness", "GET", "/livez", health.livez),
        *("Is the process alive?", None, status),
    )
    yield Operation(
        *("getReadiness", "GET", "/readyz", health.readyz),
        *("Can the node serve clients?", None),
        {**status, 503: ResponseSpec("no", PROBLEM, MEDIA_TYPE)},
    )
    yield Operation(
        *("getMetrics", "GET", "/metrics", telemetry.metrics),
        *("Get the metrics of this node.", None),
        {200: ResponseSpec("for Prometheus", media_type="text/plain")},
    )


def make_api(
    endpoints: Endpoints,
    authenticators: Sequence[Authenticator],
    *,
    deadline_s: float,
    pages: Sequence[BaseRoute] = (),
) -> Starlette:
    """
    Make the ASGI application.

    Args:
        authenticators: Tried in this order; the first that returns a principal counts.
        deadline_s: How long a request may take before it is answered `timeout`.
        pages: Routes beside the API.
    """
    table = operations(endpoints)
    guarded = [row for row in table if row.right is not None]
    document = Route(f"{V1}/openapi.json", _document_handler(describe(table)), methods=["GET"])
    return _application(
        *pages,
        *routes_for([row for row in table if row.right is None], deadline_s),
        document,
        Mount(
            V1,
            Router(routes_for(guarded, deadline_s, below=V1), redirect_slashes=False),
            middleware=[Middleware(Authentication, authenticators)],
        ),
    )


def _application(*routes: BaseRoute) -> Starlette:
    app = Starlette(
        routes=routes,
        middleware=[Middleware(NoStore), Middleware(OneHost), Middleware(RawPath)],
        exception_handlers=HANDLERS,
    )
    # A path with an extra slash is another path, and a redirect would trust `Host`.
    app.router.redirect_slashes = False
    return app


def routes_for(
    table: Iterable[Operation], deadline_s: float, *, below: str = ""
) -> list[BaseRoute]:
    """Make one route for each path, with all of its methods."""
    paths: dict[str, list[Operation]] = {}
    for operation in table:
        paths.setdefault(operation.path.removeprefix(below), []).append(operation)
    return [
        Route(path, _path_handler(rows, deadline_s), methods=[row.method for row in rows])
        for path, rows in paths.items()
    ]


def _path_handler(rows: Iterable[Operation], deadline_s: float) -> Handler:
    """Dispatch by method, under a deadline that includes reading the body."""
    by_method = {row.method: row for row in rows}

    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        operation = by_method[method]
        if operation.right is not None:
            require(request, operation.right)
        try:
            async with asyncio.timeout(deadline_s if operation.has_deadline else None):
                return await operation.handler(request)
        except TimeoutError:
            raise Timeout("it took too long; it may have been carried out") from None

    return handle


def _document_handler(document: dict[str, object]) -> Handler:
    content = JSONResponse(document).body  # Once: encoding it takes milliseconds.

    async def handle(_: Request) -> Response:
        return Response(content, media_type=JSONResponse.media_type)

    return handle


class RawPath:
    """
    Routes by the path as it was sent, still percent-encoded.

    An actor id may contain slashes; decoded, they would look like path separators.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        await self._app({**scope, "path": scope["raw_path"].decode("ascii")}, receive, send)
