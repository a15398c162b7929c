"""
A feed as the control plane has it, which a test can cut, and whose history it can shorten.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.client_py.http_peer import Asked, HttpPeer, http_peer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class FeedPeer:
    """Tells what is said to whoever listens, and to whoever comes back what they missed."""

    def __init__(self) -> None:
        self.http: HttpPeer | None = None
        self.positions: list[str | None] = []
        """Where each listener wanted to go on."""
        self.tells_where_it_begins = True
        self._arrivals: asyncio.Queue[None] = asyncio.Queue()
        self._history: list[tuple[int, str, dict[str, Any]]] = []
        self._told = 0
        self._forgotten = 0
        self._writers: dict[asyncio.StreamWriter, set[str]] = {}

    @property
    def url(self) -> str:
        assert self.http is not None
        return self.http.url

    def say(self, name: str, **data: Any) -> None:
        """Tell everybody who listens."""
        self._told += 1
        self._history.append((self._told, name, data))
        for writer, actors in self._writers.items():
            if not actors or data["actorId"] in actors:
                writer.write(_event(self._told, name, data))

    async def arrival(self) -> None:
        """Wait for the next listener."""
        await self._arrivals.get()

    def give_sign_of_life(self) -> None:
        """Tell where the feed is, as it does every 15 seconds."""
        for writer in self._writers:
            writer.write(b":\nid: p%d\n\n" % self._told)

    def cut(self) -> None:
        """Break every line."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def forget(self) -> None:
        """Lose the history."""
        self._history.clear()
        self._forgotten = self._told

    async def act(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Serve one listener."""
        position = asked.headers.get("last-event-id")
        self.positions.append(position)
        query = parse_qs(urlsplit(asked.target).query)
        begins = position is None and self.tells_where_it_begins
        writer.write(HEAD + (b"id: p%d\n\n" % self._told if begins else b""))
        if position is not None:
            self._repeat(int(position[1:]), writer)
        self._writers[writer] = set(query.get("actor", []))
        self._arrivals.put_nowait(None)
        await asyncio.Event().wait()

    def _repeat(self, position: int, writer: asyncio.StreamWriter) -> None:
        if position < self._forgotten:
            writer.write(b"id: p%d\nevent: feed.lost\ndata: {}\n\n" % self._told)
            return
        for place, name, data in self._history:
            if place > position:
                writer.write(_event(place, name, data))


def _event(place: int, name: str, data: dict[str, Any]) -> bytes:
    return f"id: p{place}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


@asynccontextmanager
async def feed_peer() -> AsyncIterator[FeedPeer]:
    """Run one."""
    feed = FeedPeer()
    async with http_peer(feed.act) as http:
        feed.http = http
        yield feed
