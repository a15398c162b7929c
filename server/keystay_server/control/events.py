"""
What backends say to clients: `POST .../events`.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_protocol.errors import InvalidParams
from keystay_server.control.body import field, from_path, read_object, read_query
from keystay_server.hub import Hub
from keystay_server.sessions import Sessions
from keystay_server.stores.base import StoredEvent

_FIELDS = ("name", "data")


@dataclass(frozen=True, slots=True)
class EventEndpoints:
    """The answers. Connections on this node are told before it is answered."""

    sessions: Sessions
    hub: Hub

    async def to_session(self, request: Request) -> Response:
        """`POST /v1/sessions/{id}/events`: to the connections of one session."""
        session_id = from_path(request, "id")
        name, data = await _read(request)
        return await self._told(await self.sessions.emit_to_session(session_id, name, data))

    async def to_actor(self, request: Request) -> Response:
        """`POST /v1/actors/{actorId}/events`: to all sessions of an actor."""
        actor_id = from_path(request, "actorId")
        name, data = await _read(request)
        return await self._told(await self.sessions.emit(actor_id, name, data))

    async def to_all(self, request: Request) -> Response:
        """`POST /v1/events`: to everybody who is connected; once at most, never recovered."""
        name, data = await _read(request)
        await self.sessions.broadcast(name, data)
        return Response(status_code=HTTPStatus.ACCEPTED)

    async def _told(self, event: StoredEvent) -> Response:
        await self.hub.relay([event])
        return JSONResponse({"cursor": event.cursor}, HTTPStatus.CREATED)


async def _read(request: Request) -> tuple[str, Any]:
    read_query(request, ())
    body = await read_object(request, _FIELDS)
    name = field(body, "name", str, "a string")
    if name is None:
        raise InvalidParams("name must be a string")
    return name, body.get("data")
