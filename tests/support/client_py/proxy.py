"""
An HTTP proxy that connects to one server, whichever it is asked for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.client_py.relay import Relay


class ConnectProxy:
    """Answers `CONNECT` requests, and passes on what follows."""

    def __init__(self, server_url: str) -> None:
        self.url = ""
        self.targets: list[str] = []
        """What the requests asked for."""
        self.relay = Relay(server_url)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        method, target, _ = head.partition("\r\n")[0].split(" ")
        assert method == "CONNECT"
        self.targets.append(target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self.relay.serve(reader, writer)


@asynccontextmanager
async def connect_proxy(server_url: str) -> AsyncIterator[ConnectProxy]:
    """Run one that connects to this server."""
    proxy = ConnectProxy(server_url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.relay.stop()
