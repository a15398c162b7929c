"""
The client port in this process: a real listener over a node in memory.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.limits import ConnectionLimits
from keystay_server.gateway.listener import Listener
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.websocket import frame
from tests.support.server.memory_node import MemoryNode, running_node
from tests.support.server.raw_peer import RawPeer, dialled

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Gateway:
    """An open listener, and its node."""

    listener: Listener
    node: MemoryNode
    port: int

    def dialled(self, **options: Any) -> AbstractAsyncContextManager[RawPeer]:
        """A TCP connection, without a handshake."""
        return dialled(HOST, self.port, **options)

    @asynccontextmanager
    async def connected(self, **options: Any) -> AsyncIterator[RawPeer]:
        """A WebSocket."""
        async with self.dialled(**options) as peer:
            assert (await peer.handshake()).status == 101
            yield peer


@asynccontextmanager
async def listening(
    timings: Timings | None = None,
    origins: OriginPolicy | None = None,
    limits: ConnectionLimits | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """
    Listen on a free port.

    Args:
        settings: As for `running_node`.
    """
    async with running_node(frame=frame, **settings) as node:
        listener = Listener(
            node.node,
            timings or Timings(),
            origins or OriginPolicy(),
            limits or ConnectionLimits(),
        )
        port = await listener.start(HOST, 0, tls)
        try:
            yield Gateway(listener, node, port)
        finally:
            await listener.stop(0)
