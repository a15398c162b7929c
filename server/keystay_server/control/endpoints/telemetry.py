"""
Statistics and metrics: `GET /v1/stats` and `GET /metrics`.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_server.control.schema.body import read_query
from keystay_server.node.heartbeat import Heartbeat
from keystay_server.telemetry.metrics import CONTENT_TYPE, Metrics


@dataclass(frozen=True, slots=True)
class TelemetryEndpoints:
    """The handlers."""

    heartbeat: Heartbeat
    of_node: Metrics

    async def stats(self, request: Request) -> Response:
        """`GET /v1/stats`: all nodes, and which of them responds."""
        read_query(request, ())
        return JSONResponse(
            {"node": self.heartbeat.node_id, "nodes": await self.heartbeat.nodes()}
        )

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`: this node, in the Prometheus text format. It needs no API key."""
        # Every scraper accepts this format.
        return Response(self.of_node.exposed(), media_type=CONTENT_TYPE)
