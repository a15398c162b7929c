"""
Sessions for backends: `/v1/sessions` and `/v1/actors/{actorId}/sessions`. The latter is also
`/v1/sessions?actorId=`.

A session has the form of the wire (SPEC section 4), and `revision`. Its key is only in the
response that creates it.
"""

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
from keystay_server.control.schema.shapes import (
    AFTER,
    LIMIT,
    PAGE,
    REASON_PARAMETER,
    REASSIGNMENT,
    SESSION_REQUEST,
    SESSION_UPDATE,
)
from keystay_server.delivery.hub import Hub
from keystay_server.sessions.reassign import reassign
from keystay_server.sessions.service import CreatedSession, SessionRequest, Sessions
from keystay_server.stores.events import SessionSet
from keystay_server.stores.records import Record


@dataclass(frozen=True, slots=True)
class SessionEndpoints:
    """The handlers. Connections on this node get a change before the backend its response."""

    sessions: Sessions
    hub: Hub

    async def create(self, request: Request) -> Response:
        """`POST /v1/sessions`: create a session; the only response with its key."""
        read_query(request)
        body = await read_object(request, SESSION_REQUEST)
        wanted = SessionRequest(
            actor_id=str(body["actorId"]),  # Most databases number their users.
            meta=body["meta"],
            language="en" if body["language"] is None else body["language"],
            version=body["version"],
            ttl_s=body["ttl"],
            max_age_s=body["maxAge"],
        )
        idempotency_key = idempotency_key_of(request, body, "open")
        return await self._created(await self.sessions.create(wanted, idempotency_key))

    async def get(self, request: Request) -> Response:
        """`GET /v1/sessions/{id}`."""
        read_query(request)
        record = await self.sessions.get(path_parameter(request, "id"))
        return JSONResponse(_as_json(record))

    async def update(self, request: Request) -> Response:
        """`PATCH /v1/sessions/{id}`: replace meta, language, or both."""
        read_query(request)
        body = await read_object(request, SESSION_UPDATE)
        event = await self.sessions.update(path_parameter(request, "id"), **body)
        await self.hub.relay([event])
        assert isinstance(event.change, SessionSet)
        return JSONResponse(_as_json(event.change.record))

    async def reassign(self, request: Request) -> Response:
        """`POST /v1/sessions/{id}/reassign`: end it, and create one for another actor."""
        read_query(request)
        body = await read_object(request, REASSIGNMENT)
        session_id = path_parameter(request, "id")
        idempotency_key = idempotency_key_of(request, body, "reassign", session_id)
        opened = await reassign(
            self.sessions, session_id, str(body["actorId"]), idempotency_key
        )
        return await self._created(opened)

    async def revoke(self, request: Request) -> Response:
        """`DELETE /v1/sessions/{id}?reason=`."""
        query = read_query(request, (REASON_PARAMETER,))
        ended = await self.sessions.revoke(path_parameter(request, "id"), **query)
        await self.hub.relay(ended)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/sessions`: a page of the live ones, oldest first."""
        actor_id, query = read_actor_query(request, LIMIT, AFTER)
        limit = query.get("limit", PAGE)
        # One more shows whether there is another page.
        records = await self.sessions.list_page(actor_id, limit + 1, query.get("after"))
        page, is_last = records[:limit], len(records) <= limit
        return JSONResponse(
            {
                "sessions": [_as_json(record) for record in page],
                "next": None if is_last else page[-1].id,
            }
        )

    async def revoke_all(self, request: Request) -> Response:
        """`DELETE /v1/actors/{actorId}/sessions?reason=`: end all, return their number."""
        actor_id, query = read_actor_query(request, REASON_PARAMETER)
        ended = await self.sessions.revoke_all(actor_id, **query)
        await self.hub.relay(ended)
        return JSONResponse({"ended": len(ended)})

    async def _created(self, opened: CreatedSession) -> Response:
        await self.hub.relay(opened.events)
        headers = {"Location": f"/v1/sessions/{opened.record.id}"}
        if opened.is_repeat:
            headers |= REPLAYED
        return JSONResponse(_as_json(opened.record, opened.key), HTTPStatus.CREATED, headers)


def _as_json(record: Record, key: str | None = None) -> dict[str, Any]:
    return {**record.to_session(key).to_wire(), "revision": record.revision}
