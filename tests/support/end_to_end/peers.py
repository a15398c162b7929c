"""
Many raw connections to a server process at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from tests.support.server.raw_peer import BINARY, RawPeer, command, dialled, frame
from tests.support.server_process import ServerProcess

AT_ONCE = 50


def address_of(server: ServerProcess) -> tuple[str, int]:
    """Where its clients connect: host and port."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    return address.hostname, address.port


@asynccontextmanager
async def many_connected(server: ServerProcess, number: int) -> AsyncIterator[list[RawPeer]]:
    """Open so many WebSockets."""
    async with AsyncExitStack() as cleanup:

        async def connect() -> RawPeer:
            peer = await cleanup.enter_async_context(dialled(*address_of(server)))
            assert (await peer.handshake()).status == 101
            return peer

        peers: list[RawPeer] = []
        while len(peers) < number:
            some = min(AT_ONCE, number - len(peers))
            peers += await asyncio.gather(*(connect() for _ in range(some)))
        yield peers


async def log_in(peer: RawPeer) -> str:
    """Log in as a new actor; return the key."""
    error, result = await peer.call("session.login", "anonymous")
    assert error is None
    return str(result["session"]["key"])


async def restore(peer: RawPeer, key: str) -> int:
    """Restore; return the position that the peer is brought to."""
    peer.send(frame(BINARY, command(1, "session.restore", key)))
    [_, name, [_, cursor]] = await peer.message()
    [_, answered, error, result] = await peer.message()
    assert (name, cursor, answered, error) == ("session.set", None, 1, None)
    return int(result["cursor"])
