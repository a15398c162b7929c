"""
Floods against a real server process, and what they cost it and everybody else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.support.raw_client import RawClient, connected
from tests.support.server.raw_peer import PONG, WAIT_S, RawPeer, dialled, frame
from tests.support.server_process import ServerProcess

MOST_BYTES = 8 * 1024 * 1024
"""How much a flood may add to what the server holds in memory."""

SLOWEST_S = 1.0
"""How long a command of a bystander may take meanwhile."""

PATIENCE_S = 0.3
"""A server that takes nothing for so long has stopped to read."""

CHUNK_BYTES = 256 * 1024


class Bystander:
    """A client that is served while others misbehave, and has an eye on the server's memory."""

    def __init__(self, server: ServerProcess, client: RawClient, key: str) -> None:
        self.asked = 0
        self.slowest_s = 0.0
        self._server = server
        self._client = client
        self._key = key
        self._before = self._most = server.memory_bytes()

    @property
    def grown_bytes(self) -> int:
        """How much more memory the server held at the worst moment."""
        return self._most - self._before

    async def ask(self) -> None:
        """Ask once: the answer must be right."""
        started = asyncio.get_running_loop().time()
        assert await self._client.call("session.isValid", self._key) == (None, None)
        self.slowest_s = max(self.slowest_s, asyncio.get_running_loop().time() - started)
        self._most = max(self._most, self._server.memory_bytes())
        self.asked += 1
        self._client.received.clear()

    async def ask_for_ever(self) -> None:
        """Ask again and again, as a client with something to do."""
        while True:
            await self.ask()
            await asyncio.sleep(0.002)


@asynccontextmanager
async def bystander(server: ServerProcess) -> AsyncIterator[Bystander]:
    """
    Have a client served all the while.

    At the end it must have been served in time, and the server must not have
    grown by more than `MOST_BYTES`.
    """
    async with connected(server.url) as client:
        key = await client.login("bystander")
        for _ in range(300):  # Until everything is loaded that is loaded once.
            await client.call("session.isValid", key)
        watcher = Bystander(server, client, key)
        watching = asyncio.create_task(watcher.ask_for_ever())
        try:
            yield watcher
        finally:
            watching.cancel()
            (end,) = await asyncio.gather(watching, return_exceptions=True)
        assert isinstance(end, asyncio.CancelledError), end
        assert watcher.asked >= 3
        assert watcher.slowest_s < SLOWEST_S
        assert watcher.grown_bytes < MOST_BYTES, f"{watcher.grown_bytes / 2**20:.1f} MiB"


@asynccontextmanager
async def raw(
    server: ServerProcess, *, with_handshake: bool = True, control: bool = False
) -> AsyncIterator[RawPeer]:
    """A peer that reads nothing unless it is told to; of the control port, if `control`."""
    address = urlsplit(server.control if control else server.url)
    assert address.hostname is not None
    assert address.port is not None
    async with dialled(address.hostname, address.port, limit=1024) as peer:
        if with_handshake:
            assert (await peer.handshake()).status == 101
        yield peer


async def pour(peer: RawPeer, data: bytes, times: int = 1) -> None:
    """Send the data so often, or until the server takes no more, and read nothing."""
    with suppress(TimeoutError, ConnectionError):
        for _ in range(times):
            for start in range(0, len(data), CHUNK_BYTES):
                peer.send(data[start : start + CHUNK_BYTES])
                async with asyncio.timeout(PATIENCE_S):
                    await peer.writer.drain()


async def until_dropped(peer: RawPeer) -> None:
    """Wait until the server has dropped the connection, and read nothing."""
    async with asyncio.timeout(WAIT_S):
        with suppress(ConnectionError):
            while True:
                peer.send(frame(PONG))
                await peer.writer.drain()
                await asyncio.sleep(0.02)


async def replies(peer: RawPeer, number: int) -> None:
    """Wait for so many replies."""
    while number:
        number -= (await peer.message())[0] == 1
