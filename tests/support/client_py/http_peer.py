"""
An HTTP server that does what a test says, for what a healthy control plane never does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

WAIT_S = 5.0
"""A test that waits for longer has failed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Act = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
"""What is done about one request."""


class HttpPeer:
    """Acts on one request after the other as its script says; on those beyond, as the last."""

    def __init__(self, *script: Act) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.has_been_asked = asyncio.Event()
        self._script = list(script)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                asked = await _read(reader)
                self.asked.append(asked)
                self.has_been_asked.set()
                act = self._script[0] if len(self._script) == 1 else self._script.pop(0)
                await act(asked, writer)
        writer.close()

    async def stop(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    request, *lines = head.strip().split("\r\n")
    method, target, _ = request.split(" ")
    headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


@asynccontextmanager
async def http_peer(*script: Act) -> AsyncIterator[HttpPeer]:
    """Run one."""
    peer = HttpPeer(*script)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        await peer.stop()


def answer(
    status: int, document: Any = None, *, content_type: str = "application/json", **more: str
) -> Act:
    """Answer with a document as JSON, or with bytes as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in headers.items()
    )

    async def act(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()

    return act


def problem(status: int, **document: Any) -> Act:
    """Answer with a problem document."""
    return answer(status, document, content_type="application/problem+json")


async def break_off(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Break the connection without an answer."""
    writer.transport.abort()


async def break_in_the_middle(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Break the connection within the answer."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()


async def keep_silent(_: Asked, __: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


SESSION = {
    "actorId": "alice",
    "id": "YWxpY2U.000000000000",
    "createdAt": 1,
    "expiresAt": 2,
    "endsAt": None,
    "meta": {},
    "language": "en",
    "version": None,
    "revision": 1,
}
"""A session as the control plane shows it."""
