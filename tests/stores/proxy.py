"""
A small TCP proxy that can do to a connection what networks do.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Passes bytes to a port on this machine and back, and keeps what the clients sent."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.sent: list[bytes] = []
        """What clients sent, in the pieces that came in."""
        self._upstream_port = upstream_port
        self._swallowed: set[asyncio.StreamReader] = set()
        self._clients: dict[asyncio.StreamReader, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self, word: bytes) -> int:
        """Make the connections that sent this word open and silent; return how many."""
        found = {client for client, sent in self._clients.items() if word in sent}
        self._swallowed |= found
        return len(found)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until one of the two ends closes."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients[reader] = b""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        down = asyncio.create_task(self._pass(up_reader, writer, reader))
        try:
            await self._pass(reader, up_writer, reader)
        finally:
            down.cancel()
            del self._clients[reader]
            self._tasks.discard(task)
            for end in (writer, up_writer):
                end.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamReader,
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if source is client:
                    self.sent.append(data)
                    self._clients[client] += data
                if client not in self._swallowed:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    async def stop(self) -> None:
        """Close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy to the port, one that speaks TLS with its clients if there is a context."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
