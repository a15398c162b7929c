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

from keystay_server.control.schema.body import from_path, read_object, read_query
from keystay_server.control.schema.idempotency import REPLAYED, recipe_of
from keystay_server.control.schema.shapes import (
    AFTER,
    CHANGE,
    LIMIT,
    OPENING,
    PAGE,
    REASON_PARAMETER,
    REASSIGNMENT,
)
from keystay_server.delivery.hub import Hub
from keystay_server.sessions.service import OpenedSession, SessionRequest, Sessions
from keystay_server.stores.base import Record, SessionSet


@dataclass(frozen=True, slots=True)
class SessionEndpoints:
    """The answers. Connections on this node hear of a change before it is answered."""

    sessions: Sessions
    hub: Hub

    async def create(self, request: Request) -> Response:
        """`POST /v1/sessions`: open a session; the one answer that holds its key."""
        read_query(request)
        body = await read_object(request, OPENING)
        opening = SessionRequest(
            actor_id=str(body["actorId"]),  # Most databases number their users.
            meta=body["meta"],
            language="en" if body["language"] is None else body["language"],
            version=body["version"],
            ttl_s=body["ttl"],
            max_age_s=body["maxAge"],
        )
        idempotency_key = recipe_of(request, body, "open")
        return await self._opened(await self.sessions.open(opening, idempotency_key))

    async def show(self, request: Request) -> Response:
        """`GET /v1/sessions/{id}`."""
        read_query(request)
        record = await self.sessions.show(from_path(request, "id"))
        return JSONResponse(_as_json(record))

    async def change(self, request: Request) -> Response:
        """`PATCH /v1/sessions/{id}`: meta and language, each as a whole."""
        read_query(request)
        body = await read_object(request, CHANGE)
        event = await self.sessions.change(from_path(request, "id"), **body)
        await self.hub.relay([event])
        assert isinstance(event.change, SessionSet)
        return JSONResponse(_as_json(event.change.record))

    async def reassign(self, request: Request) -> Response:
        """`POST /v1/sessions/{id}/reassign`: a session for another actor in its place."""
        read_query(request)
        body = await read_object(request, REASSIGNMENT)
        session_id = from_path(request, "id")
        idempotency_key = recipe_of(request, body, "reassign", session_id)
        opened = await self.sessions.reassign(session_id, str(body["actorId"]), idempotency_key)
        return await self._opened(opened)

    async def end(self, request: Request) -> Response:
        """`DELETE /v1/sessions/{id}?reason=`."""
        query = read_query(request, (REASON_PARAMETER,))
        ended = await self.sessions.revoke(from_path(request, "id"), **query)
        await self.hub.relay(ended)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/sessions`: the live ones, oldest first, by pages."""
        query = read_query(request, (LIMIT, AFTER))
        limit = query.get("limit", PAGE)
        # One more tells whether there is another page.
        records = await self.sessions.page(
            from_path(request, "actorId"), limit + 1, query.get("after")
        )
        page, is_last = records[:limit], len(records) <= limit
        return JSONResponse(
            {
                "sessions": [_as_json(record) for record in page],
                "next": None if is_last else page[-1].id,
            }
        )

    async def end_all(self, request: Request) -> Response:
        """`DELETE /v1/actors/{actorId}/sessions?reason=`: how many there were."""
        query = read_query(request, (REASON_PARAMETER,))
        ended = await self.sessions.revoke_all(from_path(request, "actorId"), **query)
        await self.hub.relay(ended)
        return JSONResponse({"ended": len(ended)})

    async def _opened(self, opened: OpenedSession) -> Response:
        await self.hub.relay(opened.events)
        headers = {"Location": f"/v1/sessions/{opened.record.id}"}
        if opened.is_repeat:
            headers |= REPLAYED
        return JSONResponse(_as_json(opened.record, opened.key), HTTPStatus.CREATED, headers)


def _as_json(record: Record, key: str | None = None) -> dict[str, Any]:
    return {**record.to_session(key).to_wire(), "revision": record.revision}
