"""
Statistics and metrics: `GET /v1/stats` and `GET /metrics`.
"""

import math
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_server.control.schema.body import read_query
from keystay_server.node.heartbeat import Heartbeat
from keystay_server.telemetry.metrics import CONTENT_TYPE, Metrics

RENDER_EVERY_S = 1.0
"""Rendering takes milliseconds, and needs no API key."""


class TelemetryEndpoints:
    """The handlers."""

    def __init__(self, heartbeat: Heartbeat, metrics: Metrics) -> None:
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._rendered = b""
        self._rendered_at = -math.inf

    async def stats(self, request: Request) -> Response:
        """`GET /v1/stats`: all nodes, and which of them responds."""
        read_query(request, ())
        return JSONResponse(
            {"node": self._heartbeat.node_id, "nodes": await self._heartbeat.nodes()}
        )

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`: this node, in the Prometheus text format. It needs no API key."""
        now = time.monotonic()
        if now - self._rendered_at >= RENDER_EVERY_S:
            self._rendered, self._rendered_at = self._metrics.exposed(), now
        # Every scraper accepts this format.
        return Response(self._rendered, media_type=CONTENT_TYPE)
