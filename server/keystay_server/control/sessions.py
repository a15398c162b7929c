"""
What backends do with sessions: `/v1/sessions` and `/v1/actors/{actorId}/sessions`.

Sessions are told as on the wire (SPEC section 4), with their `revision` beside.
Their keys are told once, to whoever opens them.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_protocol.errors import InvalidParams
from keystay_server.control.body import field, from_path, read_object, read_query, seconds
from keystay_server.hub import Hub
from keystay_server.sessions import Opening, Sessions
from keystay_server.stores.base import Record, SessionSet, StoredEvent

_OPENING_FIELDS = ("actorId", "meta", "language", "version", "ttl", "maxAge")
_CHANGE_FIELDS = ("meta", "language", "revision")


@dataclass(frozen=True, slots=True)
class SessionEndpoints:
    """The answers. Connections on this node hear of a change before it is answered."""

    sessions: Sessions
    hub: Hub

    async def create(self, request: Request) -> Response:
        """`POST /v1/sessions`: open a session; the one answer that holds its key."""
        read_query(request, ())
        body = await read_object(request, _OPENING_FIELDS)
        key, new = self.sessions.prepare(_opening(body))
        events = await self.sessions.create(new)
        await self.hub.relay(events)
        return _opened(events[-1], key)

    async def show(self, request: Request) -> Response:
        """`GET /v1/sessions/{id}`."""
        read_query(request, ())
        record = await self.sessions.show(from_path(request, "id"))
        return JSONResponse(_as_json(record))

    async def change(self, request: Request) -> Response:
        """`PATCH /v1/sessions/{id}`: meta and language, each as a whole."""
        read_query(request, ())
        body = await read_object(request, _CHANGE_FIELDS)
        event = await self.sessions.change(
            from_path(request, "id"),
            meta=field(body, "meta", dict, "an object"),
            language=field(body, "language", str, "a string"),
            revision=field(body, "revision", int, "a whole number"),
        )
        await self.hub.relay([event])
        assert isinstance(event.change, SessionSet)
        return JSONResponse(_as_json(event.change.record))

    async def reassign(self, request: Request) -> Response:
        """`POST /v1/sessions/{id}/reassign`: a session for another actor in its place."""
        read_query(request, ())
        body = await read_object(request, ("actorId",))
        key, ended, opened = await self.sessions.reassign(
            from_path(request, "id"), _actor_id(body.get("actorId"))
        )
        await self.hub.relay([*ended, *opened])
        return _opened(opened[-1], key)

    async def end(self, request: Request) -> Response:
        """`DELETE /v1/sessions/{id}?reason=`."""
        query = read_query(request, ("reason",))
        ended = await self.sessions.revoke(from_path(request, "id"), **query)
        await self.hub.relay(ended)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/sessions`: the live ones, oldest first."""
        read_query(request, ())
        records = await self.sessions.of_actor(from_path(request, "actorId"))
        return JSONResponse({"sessions": [_as_json(record) for record in records]})

    async def end_all(self, request: Request) -> Response:
        """`DELETE /v1/actors/{actorId}/sessions?reason=`: how many there were."""
        query = read_query(request, ("reason",))
        ended = await self.sessions.revoke_all(from_path(request, "actorId"), **query)
        await self.hub.relay(ended)
        return JSONResponse({"ended": len(ended)})


def _opened(event: StoredEvent, key: str) -> Response:
    assert isinstance(event.change, SessionSet)
    record = event.change.record
    where = {"Location": f"/v1/sessions/{record.id}"}
    return JSONResponse(_as_json(record, key), HTTPStatus.CREATED, where)


def _as_json(record: Record, key: str | None = None) -> dict[str, Any]:
    return {**record.to_session(key).to_wire(), "revision": record.revision}


def _opening(body: dict[str, Any]) -> Opening:
    language = field(body, "language", str, "a string")
    return Opening(
        actor_id=_actor_id(body.get("actorId")),
        meta=field(body, "meta", dict, "an object"),
        language="en" if language is None else language,
        version=field(body, "version", str, "a string"),
        ttl_s=seconds(body, "ttl"),
        max_age_s=seconds(body, "maxAge"),
    )


def _actor_id(value: Any) -> str:
    # Most databases number their users. `type() is`: True is an int to isinstance.
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return value
    raise InvalidParams("actorId must be a string or a whole number")
