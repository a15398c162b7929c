"""Connections to one server: kept open, replaced, and bounded."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from keystay.control import _http
from keystay.control._http import HttpClient
from keystay.errors import ConnectionLost, UnexpectedAnswer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@dataclass(slots=True)
class Server:
    """Sends the same bytes for each request, and counts connections."""

    response: bytes
    closes_after_each: bool = False
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(self.response)
                await writer.drain()
                if self.closes_after_each:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    response: bytes = OK, *, closes_after_each: bool = False
) -> AsyncIterator[Server]:
    """Run one."""
    server = Server(response, closes_after_each)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server


@asynccontextmanager
async def client_of(server: Server, max_connections: int = 10) -> AsyncIterator[HttpClient]:
    """A client, under a deadline."""
    client = HttpClient(
        f"{server.url}/below/", {}, None, connect_timeout_s=1, max_connections=max_connections
    )
    async with asyncio.timeout(5):
        yield client
    client.close()


async def get(client: HttpClient) -> bytes:
    """One request; its body."""
    response = await client.send("GET", "/x", {}, None)
    body = b""
    while piece := await response.piece():
        body += piece
    response.close()
    return body


@pytest.mark.parametrize("response", [OK, CHUNKED])
async def test_a_connection_is_used_again(response: bytes) -> None:
    """Requests one after the other share a connection; the path of the URL is kept."""
    async with serving(response) as server, client_of(server) as client:
        assert [await get(client) for _ in range(3)] == [b"{}"] * 3
        assert server.connections == 1
        assert server.heads[0].startswith("GET /below/x HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """It is replaced, and the request does not fail."""
    async with (
        serving(closes_after_each=True) as server,
        client_of(server) as client,
    ):
        for count in range(1, 4):
            assert await get(client) == b"{}"
            assert await client._idle[0]._reader.read() == b""  # noqa: SLF001  # It knows.
            assert server.connections == count


async def test_an_old_idle_connection_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may have dropped it silently."""
    monkeypatch.setattr(_http, "IDLE_S", 0.0)
    async with serving() as server, client_of(server) as client:
        await get(client)
        await get(client)
        assert server.connections == 2


async def test_connections_are_bounded() -> None:
    """A request beyond the limit waits for another one to end."""
    async with serving() as server, client_of(server, max_connections=2) as client:
        assert await asyncio.gather(*(get(client) for _ in range(20))) == [b"{}"] * 20
        assert server.connections <= 2


async def test_a_cancelled_request_frees_its_slot() -> None:
    """Its connection is closed: the response may still come."""
    async with serving(b"") as server, client_of(server, max_connections=1) as client:
        for count in range(1, 3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await get(client)
            assert server.connections == count


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", UnexpectedAnswer),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UnexpectedAnswer),
        (b"", ConnectionLost),
    ],
)
async def test_a_broken_response_is_an_error(response: bytes, error: type[Exception]) -> None:
    """A response that is incomplete, or not HTTP, is never taken for a shorter one."""
    async with (
        serving(response, closes_after_each=True) as server,
        client_of(server) as client,
    ):
        with pytest.raises(error):
            await get(client)
