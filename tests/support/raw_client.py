"""
A client made from SPEC.md, a WebSocket and msgpack: no code of ours.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect

ANSWER_S = 10.0


class RawClient:
    """Sends commands; keeps replies and events apart, and the order in which they came."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.received: list[Any] = []
        """Every message, as it came."""
        self._replies: dict[int, tuple[str | None, Any]] = {}
        self._last_id = 0
        self._events_seen = 0

    async def send(self, method: str, *params: Any) -> int:
        """Send a command; return its callback id."""
        self._last_id += 1
        await self.websocket.send(msgpack.packb([0, self._last_id, method, list(params)]))
        return self._last_id

    async def receive(self) -> Any:
        """The next message."""
        async with asyncio.timeout(ANSWER_S):
            data = await self.websocket.recv()
        assert isinstance(data, bytes)
        message = msgpack.unpackb(data)
        self.received.append(message)
        if message[0] == 1:
            self._replies[message[1]] = message[2], message[3]
        return message

    async def reply(self, callback_id: int) -> tuple[str | None, Any]:
        """Error and result of the reply to this command; events that come first are kept."""
        while callback_id not in self._replies:
            await self.receive()
        return self._replies[callback_id]

    async def call(self, method: str, *params: Any) -> tuple[str | None, Any]:
        """Send a command and wait: error and result."""
        return await self.reply(await self.send(method, *params))

    async def event(self) -> tuple[str, Any, int | None]:
        """The next event that was not returned yet: name, data, cursor."""
        while True:
            events = self.events()
            if len(events) > self._events_seen:
                self._events_seen += 1
                return events[self._events_seen - 1]
            await self.receive()

    def events(self) -> list[tuple[str, Any, int | None]]:
        """All events that came so far: name, data, cursor."""
        return [(m[1], m[2][0], m[2][1]) for m in self.received if m[0] == 2]

    async def login(self, actor_id: str | None = None) -> str:
        """Log in anonymously; return the key."""
        credentials = None if actor_id is None else {"actorId": actor_id}
        error, result = await self.call("session.login", "anonymous", credentials)
        assert error is None, error
        return str(result["session"]["key"])


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[RawClient]:
    """Open a WebSocket with our subprotocol; close it at the end."""
    options.setdefault("subprotocols", ["keystay.v1"])
    async with connect(url, compression=None, **options) as websocket:
        yield RawClient(websocket)
