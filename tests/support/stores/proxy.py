"""
A small TCP proxy that can do to a connection what networks do.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

Sieve = Callable[[bytes], bytes]
"""What is done to the bytes on their way down one connection."""


def _untouched() -> Sieve:
    return bytes


class Proxy:
    """
    Passes bytes to a port on this machine and back, and keeps what the clients sent.

    Args:
        new_sieve: Makes, for each connection, what the bytes for its client go through.
    """

    def __init__(self, upstream_port: int, new_sieve: Callable[[], Sieve] = _untouched) -> None:
        self.port = 0
        self.sent: list[bytes] = []
        """What clients sent, in the pieces that came in."""
        self.refuses: bytes | None = None
        """A word at which a connection is closed, instead of passing it on."""
        self._upstream_port = upstream_port
        self._new_sieve = new_sieve
        self._swallowed: set[asyncio.StreamReader] = set()
        self._clients: dict[asyncio.StreamReader, bytes] = {}
        self._tasks: dict[asyncio.StreamReader, asyncio.Task[None]] = {}

    def swallow(self, word: bytes) -> int:
        """Make the connections that sent this word open and silent; return how many."""
        found = {client for client, sent in self._clients.items() if word in sent}
        self._swallowed |= found
        return len(found)

    def cut(self, word: bytes) -> int:
        """Close the connections that sent this word; return how many."""
        found = [client for client, sent in self._clients.items() if word in sent]
        for client in found:
            self._tasks[client].cancel()
        return len(found)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until one of the two ends closes."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[reader] = task
        self._clients[reader] = b""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        down = asyncio.create_task(self._pass(up_reader, writer, reader, self._new_sieve()))
        try:
            await self._pass(reader, up_writer, reader, bytes)
        finally:
            down.cancel()
            del self._clients[reader]
            del self._tasks[reader]
            for end in (writer, up_writer):
                end.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamReader,
        sieve: Sieve,
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if source is client:
                    if self.refuses is not None and self.refuses in data:
                        break
                    self.sent.append(data)
                    self._clients[client] += data
                if client not in self._swallowed:
                    sink.write(sieve(data))
                    await sink.drain()
        sink.close()

    async def stop(self) -> None:
        """Close every connection."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(
    port: int,
    tls: ssl.SSLContext | None = None,
    new_sieve: Callable[[], Sieve] = _untouched,
) -> AsyncIterator[Proxy]:
    """Run a proxy to the port, one that speaks TLS with its clients if there is a context."""
    proxy = Proxy(port, new_sieve)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
