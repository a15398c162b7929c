"""
Thousands of clients in one process, each a bound connection that notes when it gets what.
"""

import asyncio
import time
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgpack

from benchmarks.servers import Server
from benchmarks.wire import command, handshake, pong, split

AT_ONCE = 250
"""Clients that do something together, where it is not measured."""

X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class Said:
    """What the server said, and when it came: Unix seconds."""

    what: Any
    at: float


class Guest(asyncio.Protocol):
    """One WebSocket: a command at a time, and the session that it is bound to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.opened: Future[None] = loop.create_future()
        self.gone: Future[None] = loop.create_future()
        self.end: Future[Said] = loop.create_future()
        """Done with the reason when the session ends; another future for the next session."""
        self.session: dict[str, Any] = {}
        self.cursor = 0
        self._reply: Future[Said] | None = None
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(handshake(*transport.get_extra_info("peername")))

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._unread += data
        if not self.opened.done():
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head.decode()
            self._unread = rest
            self.opened.set_result(None)
        while (frame := split(self._unread)) is not None:
            is_ping, payload, self._unread = frame
            if is_ping:
                self._transport.write(pong(payload))
            else:
                self._take(msgpack.unpackb(payload), now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)
        for waiting in (self.opened, self._reply):
            if waiting is not None and not waiting.done():
                waiting.set_exception(exc or ConnectionError("the server hung up"))

    async def ask(self, method: str, *params: Any) -> Said:
        """Send a command and wait for its result."""
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(command(method, *params))
        return await self._reply

    def leave(self) -> None:
        """Leave without a close frame."""
        self._transport.abort()

    def _take(self, message: Any, now: float) -> None:
        match message:
            case [1, 7, None, result] if self._reply is not None:
                self._reply.set_result(Said(result, now))
            case [2, "session.set", [dict(session), cursor]]:
                if self.end.done():
                    self.end = self.end.get_loop().create_future()
                self.session = session
                self.cursor = self.cursor if cursor is None else cursor  # None: a restore.
            case [2, "session.unset", [{"reason": reason, "id": id_}, int(cursor)]]:
                assert id_ == self.session["id"], "the end of another session"
                self.cursor = cursor
                self.end.set_result(Said(reason, now))
            case _:
                raise AssertionError(f"no benchmark expects {message}")


async def come(server: Server) -> Guest:
    """Open a WebSocket."""
    loop = asyncio.get_running_loop()
    _, guest = await loop.create_connection(Guest, *server.address)
    await guest.opened
    return guest


@asynccontextmanager
async def crowd(server: Server, count: int) -> AsyncIterator[list[Guest]]:
    """Many connections, bound to nothing yet."""
    guests = await a_few_at_once(come(server) for _ in range(count))
    try:
        yield guests
    finally:
        for guest in guests:
            guest.leave()
        await asyncio.gather(*(guest.gone for guest in guests))


async def a_few_at_once(doing: Iterable[Awaitable[X]]) -> list[X]:
    """Do all of it, so many at once that nobody is overrun; the results in order."""
    results: list[X] = []
    batch: list[Awaitable[X]] = []
    for each in doing:
        batch.append(each)
        if len(batch) == AT_ONCE:
            results += await asyncio.gather(*batch)
            batch.clear()
    return results + await asyncio.gather(*batch)
