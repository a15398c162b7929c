"""
Liveness and readiness, for load balancers.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystay_protocol.errors import Unavailable
from keystay_server.sessions.service import Sessions

STORE_ANSWERS_WITHIN_S = 1.0


class HealthEndpoints:
    """The handlers. They need no API key."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.is_draining = False
        self.is_serving: Callable[[], bool] = lambda: True
        """Whether clients are accepted: other processes may do that."""

    async def livez(self, _: Request) -> Response:
        """`GET /livez`: the process responds. Restart it if it does not."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, _: Request) -> Response:
        """`GET /readyz`: the node accepts clients, and can serve them."""
        if self.is_draining:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the node shuts down")
        if not self.is_serving():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "no worker serves clients")
        try:
            async with asyncio.timeout(STORE_ANSWERS_WITHIN_S):
                await self._sessions.probe()
        except (Unavailable, TimeoutError):
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "the store is out of reach"
            ) from None
        return JSONResponse({"status": "ready"})
