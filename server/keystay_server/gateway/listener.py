"""
Accepts clients, checks the deadlines of their connections, and closes them.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from keystay_protocol.codec import encode
from keystay_protocol.errors import CloseCode
from keystay_protocol.events import SERVER_DRAINING
from keystay_protocol.frames import Event
from keystay_server.gateway.connection import Node
from keystay_server.gateway.deadlines import Deadlines, Timings
from keystay_server.gateway.handshake import refusal_of_limit
from keystay_server.gateway.limits import ConnectionCounter, ConnectionLimits, Full
from keystay_server.gateway.opening import Opening
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.refusals import Reason, Refusal, RefusalRecorder
from keystay_server.gateway.websocket import WebSocket
from keystay_server.node.descriptors import next_descriptor
from keystay_server.node.listening import BACKLOG, listening_sockets
from keystay_server.node.tls import TlsContext

log = logging.getLogger("keystay.listener")

CHECK_EVERY_S = 0.5
CHECK_AT_ONCE = 1000
RECONNECT_SPREAD_S = 5.0


class Listener:
    """The client port."""

    def __init__(
        self, node: Node, timings: Timings, origins: OriginPolicy, limits: ConnectionLimits
    ) -> None:
        self.node = node
        self.timings = timings
        self.origins = origins
        self.refusals = RefusalRecorder(node.counts)
        self._counter = ConnectionCounter(limits)
        self._openings: set[Opening] = set()
        self._websockets: set[WebSocket] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._servers: list[asyncio.Server] = []
        self._checking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """
        Listen; return the port, which the system chose if 0 was given.

        Raises:
            OSError: If the host has no address, or one of them cannot be listened on.
        """
        sockets = await listening_sockets(host, port)
        await self.serve(sockets, tls)
        chosen: int = sockets[0].getsockname()[1]
        return chosen

    async def serve(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Accept clients on sockets that listen already."""
        loop = asyncio.get_running_loop()
        if isinstance(tls, TlsContext):
            tls.observer = self
        self._servers = [
            await loop.create_server(
                lambda: Opening(self, loop),
                sock=each,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self.timings.handshake_s if tls else None,
            )
            for each in sockets
        ]
        self._checking = asyncio.create_task(self._check_forever(), name="check connections")

    async def stop(self, drain_s: float) -> None:
        """
        Stop accepting, announce the drain, finish the commands under way, close.

        Args:
            drain_s: How long the commands under way may take.
        """
        for server in self._servers:
            server.close()
        for opening in self._openings:
            opening.is_draining = True
        for websocket in list(self._websockets):
            websocket.is_draining = True
            self._announce_drain(websocket)
        await self.node.dispatcher.drain(drain_s)
        for opening in list(self._openings):
            opening.abort()
        for websocket in list(self._websockets):
            websocket.close(CloseCode.SERVICE_RESTART, "the node is restarting")
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timings.close_s):
                await self._is_empty.wait()
        for websocket in list(self._websockets):
            websocket.abort()
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    def connected(self, opening: Opening, descriptor: int) -> Full | None:
        """Count a connection; return the limit that is reached, if one is."""
        self._openings.add(opening)
        self._is_empty.clear()
        return self._counter.opened(opening.address, descriptor)

    def admits(self) -> bool:
        """Return whether a TLS handshake may begin: whether there are file descriptors."""
        if self._counter.has_descriptor(next_descriptor()):
            return True
        self.refusals.record(refusal_of_limit(Full.DESCRIPTORS), "")
        return False

    def tls_failed(self, reason: str) -> bool:
        """Count and log a failed TLS handshake; return whether the client speaks HTTP."""
        is_http = reason == "HTTP_REQUEST"
        if is_http:
            text = "the client speaks HTTP without TLS to a port with TLS: use wss://"
            refusal = Refusal(Reason.NO_TLS, HTTPStatus.BAD_REQUEST, text)
        else:
            refusal = Refusal(Reason.TLS_FAILED, None, f"the TLS handshake failed: {reason}")
        self.refusals.record(refusal, "")
        return is_http

    def upgraded(
        self, opening: Opening, transport: asyncio.Transport, deadlines: Deadlines
    ) -> WebSocket:
        """Return the WebSocket that takes the place of the handshake."""
        loop = asyncio.get_running_loop()
        websocket = WebSocket(self, loop, transport, deadlines, opening.address)
        self._openings.discard(opening)
        self._websockets.add(websocket)
        return websocket

    def disconnected(self, opening: Opening) -> None:
        """Forget a connection that did not become a WebSocket."""
        self._openings.discard(opening)
        if opening.is_counted:
            self._counter.closed(opening.address)
        self._note_if_empty()

    def closed(self, websocket: WebSocket) -> None:
        """Forget a WebSocket."""
        self._websockets.discard(websocket)
        self._counter.closed(websocket.address)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if not self._websockets and not self._openings:
            self._is_empty.set()

    def _announce_drain(self, websocket: WebSocket) -> None:
        # Spread at random: not all may come back at once.
        after_ms = round(random.uniform(0, RECONNECT_SPREAD_S) * 1000)  # noqa: S311
        event = Event(SERVER_DRAINING, {"reconnectAfter": after_ms}, None)
        websocket.connection.peer.outbox.send(self.node.frame(encode(event)))

    async def _check_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            for opening in list(self._openings):
                _check(opening, loop.time())
            websockets, waiting_bytes = list(self._websockets), 0
            for start in range(0, len(websockets), CHECK_AT_ONCE):
                for websocket in websockets[start : start + CHECK_AT_ONCE]:
                    if websocket in self._websockets:
                        _check(websocket, loop.time())
                        waiting_bytes += websocket.waiting_bytes
                await asyncio.sleep(0)  # Commands go first.
            self.node.counts.outbox_bytes_now = waiting_bytes


def _check(client: Opening | WebSocket, now: float) -> None:
    try:
        client.check(now)
    except Exception:
        # An error in one connection must not stop the checks of the others.
        log.exception("checking a connection failed")
        client.abort()
