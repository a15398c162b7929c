"""
Who is connected, over all nodes: the connections of an actor, and actors by the beginning of
their ids.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_server.control.schema.body import read_actor_query, read_query
from keystay_server.control.schema.shapes import PREFIX
from keystay_server.node.directory import ConnectionDirectory, Holder
from keystay_server.sessions.fields import checked_actor_id


@dataclass(frozen=True, slots=True)
class ConnectionEndpoints:
    """The handlers."""

    directory: ConnectionDirectory

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/connections`: those bound to its sessions, at most 200."""
        actor_id, _ = read_actor_query(request)
        holders = await self.directory.holders(checked_actor_id(actor_id))
        return JSONResponse({"connections": [_as_json(holder) for holder in holders]})

    async def find_actors(self, request: Request) -> Response:
        """`GET /v1/actors`: those with connections now whose ids begin like this."""
        prefix = read_query(request, (PREFIX,))["prefix"]
        return JSONResponse({"actors": await self.directory.actors(prefix)})


def _as_json(holder: Holder) -> dict[str, str | int]:
    return {
        "node": holder.node,
        "sessionId": holder.session_id,
        "address": holder.address,
        "since": holder.since,
    }
