"""
`GET /v1/actors/{actorId}/connections`, or `/v1/connections?actorId=`: the bound connections,
over all nodes.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_server.control.schema.body import read_actor_query
from keystay_server.node.directory import ConnectionDirectory, Holder
from keystay_server.sessions.fields import checked_actor_id


@dataclass(frozen=True, slots=True)
class ConnectionEndpoints:
    """The handler."""

    directory: ConnectionDirectory

    async def list_(self, request: Request) -> Response:
        """`GET /v1/actors/{actorId}/connections`: those bound to its sessions, at most 200."""
        actor_id, _ = read_actor_query(request)
        holders = await self.directory.holders(checked_actor_id(actor_id))
        return JSONResponse({"connections": [_as_json(holder) for holder in holders]})


def _as_json(holder: Holder) -> dict[str, str | int]:
    return {
        "node": holder.node,
        "sessionId": holder.session_id,
        "address": holder.address,
        "since": holder.since,
    }
