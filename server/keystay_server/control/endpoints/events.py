"""
Events from backends to clients.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_server.control.schema.body import (
    path_parameter,
    read_actor_query,
    read_object,
    read_query,
)
from keystay_server.control.schema.idempotency import REPLAYED, idempotency_key_of
from keystay_server.control.schema.shapes import ACTOR_EVENT, EVENT, MAX_EVENTS
from keystay_server.delivery.hub import Hub
from keystay_server.delivery.payloads import data_of, name_of
from keystay_server.sessions.service import Sessions
from keystay_server.stores.errors import AlreadyApplied
from keystay_server.stores.events import (
    Emitted,
    SessionSet,
    SessionUnset,
    StoredEvent,
    moment_of,
)


@dataclass(frozen=True, slots=True)
class EventEndpoints:
    """The handlers. Connections on this node get the event before the backend its response."""

    sessions: Sessions
    hub: Hub

    async def to_session(self, request: Request) -> Response:
        """`POST /v1/sessions/{id}/events`: to the connections of one session."""
        read_query(request)
        session_id = path_parameter(request, "id")
        body = await read_object(request, EVENT)
        idempotency_key = idempotency_key_of(request, body, "emit to session", session_id)
        return await self._emit(
            self.sessions.emit_to_session(session_id, **body, idempotency_key=idempotency_key)
        )

    async def to_actor(self, request: Request) -> Response:
        """`POST /v1/actors/{actorId}/events`: to all sessions of an actor."""
        read_query(request)
        actor_id = path_parameter(request, "actorId")
        body = await read_object(request, EVENT)
        idempotency_key = idempotency_key_of(request, body, "emit to actor")
        return await self._emit(
            self.sessions.emit_to_actor(actor_id, **body, idempotency_key=idempotency_key)
        )

    async def emit(self, request: Request) -> Response:
        """`POST /v1/emit`: to all sessions of the actor in the body."""
        read_query(request)
        body = await read_object(request, ACTOR_EVENT)
        idempotency_key = idempotency_key_of(request, body, "emit")
        actor_id = str(body.pop("actorId"))
        return await self._emit(
            self.sessions.emit_to_actor(actor_id, **body, idempotency_key=idempotency_key)
        )

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/events`: the newest that its history still has."""
        actor_id, _ = read_actor_query(request)
        events = await self.sessions.newest_events(actor_id, MAX_EVENTS)
        return JSONResponse({"events": [_as_json(event) for event in events]})

    async def broadcast(self, request: Request) -> Response:
        """`POST /v1/broadcast`: to all open connections; at most once, never recovered."""
        read_query(request)
        body = await read_object(request, EVENT)
        await self.sessions.broadcast(**body)
        return Response(status_code=HTTPStatus.ACCEPTED)

    async def _emit(self, emitting: Awaitable[StoredEvent]) -> Response:
        headers = {}
        try:
            event = await emitting
        except AlreadyApplied as applied:
            cursor, headers = applied.cursor, REPLAYED
        else:
            cursor = event.cursor
            await self.hub.relay([event])
        return JSONResponse({"cursor": cursor}, HTTPStatus.CREATED, headers)


def _as_json(event: StoredEvent) -> dict[str, Any]:
    change = event.change
    data = data_of(change, "")
    match change:
        case SessionSet(record):
            session_id: str | None = record.id
            del data["key"]
        case SessionUnset(concerned) | Emitted(concerned):
            session_id = concerned
    return {
        "cursor": event.cursor,
        "at": moment_of(event.cursor),
        "name": name_of(change),
        "sessionId": session_id,
        "data": data,
    }
