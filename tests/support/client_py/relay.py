"""
A line between a client and a real server, that a test can cut and mend.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on, in both directions; while it is cut, nobody gets through."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self.url = ""
        """Where clients connect."""
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Break every line without a word, and let no new one through."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self, server_url: str | None = None) -> None:
        """Let clients through again, to another server if one is named."""
        self._server_url = server_url or self._server_url
        self._is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until one of the two ends breaks."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        server = urlsplit(self._server_url)
        try:
            if self._is_cut:
                raise ConnectionAbortedError
            up_reader, up_writer = await asyncio.open_connection(server.hostname, server.port)
        except ConnectionError:
            writer.transport.abort()
            return
        ends = {writer, up_writer}
        self._writers |= ends
        await asyncio.gather(_pass(reader, up_writer), _pass(up_reader, writer))
        self._writers -= ends

    async def stop(self) -> None:
        """Cut it for good."""
        self.cut()
        await asyncio.gather(*self._tasks)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def relay_to(server_url: str) -> AsyncIterator[Relay]:
    """Run a relay to this server."""
    relay = Relay(server_url)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        await relay.stop()
