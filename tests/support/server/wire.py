"""
A wire in memory: what carries a connection where a test needs no socket.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack

from keystay_server.delivery.outbox import MAX_OUTBOX_BYTES, Outbox

WAIT_S = 5.0


class Wire:
    """
    Takes what is sent, as long as the client takes it.

    It is what an outbox writes to and the transport of a connection. Messages
    are not framed on it.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []
        """Every message, as it was sent."""
        self.is_stuck = False
        """Whether the client takes nothing more."""
        self.closed: tuple[int, str] | None = None
        self.resumed = 0
        self.cut_off = False
        self._waiting = 0
        self._news = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if self.is_stuck:
            self._waiting += len(data)
        self._news.set()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def too_slow(self) -> None:
        self.cut_off = True

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self._news.set()

    def resume(self) -> None:
        self.resumed += 1

    @property
    def received(self) -> list[Any]:
        """What the client understands: each message as MessagePack reads it."""
        return [msgpack.unpackb(data) for data in self.written]

    def events(self) -> list[tuple[str, Any, int | None]]:
        """The events among them: name, data, cursor."""
        return [(m[1], m[2][0], m[2][1]) for m in self.received if m[0] == 2]

    def told(self) -> list[tuple[str, int | None]]:
        """The events in short: name and cursor."""
        return [(name, cursor) for name, _, cursor in self.events()]

    def cursors(self) -> list[int]:
        """The cursors among them."""
        return [cursor for _, _, cursor in self.events() if cursor is not None]

    def replies(self) -> list[tuple[int, str | None, Any]]:
        """The replies among them: callback id, error, result."""
        return [(m[1], m[2], m[3]) for m in self.received if m[0] == 1]

    async def until(self, condition: Callable[["Wire"], object]) -> None:
        """Wait until what was sent fulfils the condition."""
        async with asyncio.timeout(WAIT_S):
            while not condition(self):
                self._news.clear()
                await self._news.wait()


def outbox_of(wire: Wire, max_bytes: int = MAX_OUTBOX_BYTES) -> Outbox:
    """The outbox of a client on this wire."""
    return Outbox(wire, wire, max_bytes)
