"""
A server that does what a test says, over a real WebSocket.

For what a healthy server never does: break lines, hang, send nonsense, close
with any code. Everything else is tested against the real one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import keystay
from keystay import Options
from keystay_protocol.codec import decode_command
from keystay_protocol.frames import Command
from tests.support.client_py.golden import CURSOR, KEY, bound, done, session_set

WAIT_S = 5.0
"""A test that waits for longer has failed."""

FAST = Options(open_timeout_s=2.0, close_timeout_s=0.3, backoff_base_s=0.01, backoff_cap_s=0.02)
"""Reconnects within a few hundredths of a second."""


# It would log the frames, and tests look for keys in the log of the client.
_log = logging.getLogger("tests.peer")
_log.setLevel(logging.WARNING)


class PeerConnection:
    """The server's end of one connection."""

    def __init__(self, websocket: ServerConnection) -> None:
        self._websocket = websocket

    async def command(self) -> Command:
        """The next command of the client."""
        async with asyncio.timeout(WAIT_S):
            message = await self._websocket.recv()
        assert isinstance(message, bytes)
        return decode_command(message)

    async def send(self, *messages: bytes | str) -> None:
        """Send messages as they are."""
        for message in messages:
            await self._websocket.send(message)

    async def expect(self, method: str, params: list[Any]) -> int:
        """Wait for this command; return its id."""
        command = await self.command()
        assert (command.method, command.params) == (method, params)
        return command.id

    async def serve_restore(
        self, key: str, cursor: int = CURSOR, *, after: int | None = None
    ) -> None:
        """Answer the restore that must come now, of a client that heard all up to `after`."""
        params = [key] if after is None else [key, {"cursor": after}]
        id_ = await self.expect("session.restore", params)
        await self.send(session_set(None), bound(id_, cursor))

    async def serve_now(self, result: int = 0) -> None:
        """Answer the `time.now` that must come now."""
        await self.send(done(await self.expect("time.now", []), result))

    def drop(self) -> None:
        """Break the line without a word."""
        self._websocket.transport.abort()

    def stop_reading(self) -> None:
        """Take nothing more from the network, not even a close frame."""
        self._websocket.transport.pause_reading()

    def read_on(self) -> None:
        """Undo `stop_reading`."""
        self._websocket.transport.resume_reading()

    async def close(self, code: int, reason: str = "") -> None:
        """Close the line with a code."""
        await self._websocket.close(code, reason)

    async def closed_with(self) -> int | None:
        """Wait until the client closes; return its code, None if the line just broke."""
        async with asyncio.timeout(WAIT_S):
            try:
                await self._websocket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None
        raise AssertionError("the client said something instead of closing")


class Peer:
    """Accepts connections, one for each `accept`."""

    def __init__(
        self, server: Server, lines: asyncio.Queue[PeerConnection], clients: AsyncExitStack
    ) -> None:
        self._server = server
        self._lines = lines
        self._clients = clients
        host, port, *_ = next(iter(server.sockets)).getsockname()
        self.url = f"ws://{host}:{port}"

    async def accept(self) -> PeerConnection:
        """The next connection."""
        async with asyncio.timeout(WAIT_S):
            return await self._lines.get()

    def has_no_more(self) -> bool:
        """Whether every connection so far was accepted."""
        return self._lines.empty()

    async def client(self, **options: Any) -> keystay.Client:
        """A connected client; closed with the peer, if not before."""
        client = await keystay.connect(self.url, options=replace(FAST, **options))
        self._clients.push_async_callback(client.close)
        return client

    async def bound_client(self, **options: Any) -> tuple[keystay.Client, PeerConnection]:
        """A client that restored the session of `KEY`, and the line it did it on."""
        client = keystay.connect(self.url, key=KEY, options=replace(FAST, **options))
        self._clients.push_async_callback(client.close)
        opening = asyncio.ensure_future(client)
        line = await self.accept()
        await line.serve_restore(KEY)
        await opening
        return client, line

    def stop(self) -> None:
        """Close the port; connections live on."""
        self._server.close(close_connections=False)


@asynccontextmanager
async def listening(port: int = 0, **options: Any) -> AsyncIterator[Peer]:
    """A peer on this port, or on a free one."""
    lines: asyncio.Queue[PeerConnection] = asyncio.Queue()

    async def take(websocket: ServerConnection) -> None:
        lines.put_nowait(PeerConnection(websocket))
        await websocket.wait_closed()

    options.setdefault("subprotocols", ["keystay.v1"])
    async with (
        AsyncExitStack() as clients,
        serve(
            take,
            "127.0.0.1",
            port,
            compression=None,
            logger=_log,
            ping_interval=None,
            close_timeout=0.1,
            **options,
        ) as server,
    ):
        yield Peer(server, lines, clients)
