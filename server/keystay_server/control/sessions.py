"""
What backends do with sessions: `/v1/sessions` and `/v1/actors/{actorId}/sessions`.

Sessions are told as on the wire (SPEC section 4). Their keys are told once, to
whoever opens them.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_protocol.errors import InvalidParams
from keystay_server.control.body import field, read_object, read_query, seconds
from keystay_server.hub import Hub
from keystay_server.sessions import Opening, Sessions
from keystay_server.stores.base import SessionSet

_OPENING_FIELDS = ("actorId", "meta", "language", "version", "ttl", "maxAge")


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
        event = await self.sessions.create(new)
        await self.hub.relay([event])
        assert isinstance(event.change, SessionSet)
        session = event.change.record.to_session(key)
        return JSONResponse(
            session.to_wire(),
            HTTPStatus.CREATED,
            {"Location": f"/v1/sessions/{session.id}"},
        )

    async def show(self, request: Request) -> Response:
        """`GET /v1/sessions/{id}`."""
        read_query(request, ())
        record = await self.sessions.show(_from_path(request, "id"))
        return JSONResponse(record.to_session().to_wire())

    async def end(self, request: Request) -> Response:
        """`DELETE /v1/sessions/{id}?reason=`."""
        query = read_query(request, ("reason",))
        ended = await self.sessions.revoke(_from_path(request, "id"), **query)
        await self.hub.relay(ended)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/sessions`: the live ones, oldest first."""
        read_query(request, ())
        records = await self.sessions.of_actor(_from_path(request, "actorId"))
        return JSONResponse({"sessions": [record.to_session().to_wire() for record in records]})

    async def end_all(self, request: Request) -> Response:
        """`DELETE /v1/actors/{actorId}/sessions?reason=`: how many there were."""
        query = read_query(request, ("reason",))
        ended = await self.sessions.revoke_all(_from_path(request, "actorId"), **query)
        await self.hub.relay(ended)
        return JSONResponse({"ended": len(ended)})


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


def _from_path(request: Request, name: str) -> str:
    """The part of the path as it was before it was percent-encoded (RFC 3986, 2.1)."""
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError:
        raise InvalidParams(f"{name} must be UTF-8, percent-encoded") from None
