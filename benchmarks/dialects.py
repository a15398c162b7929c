"""
The messages of peers that have a protocol of their own.
"""

import json
from typing import Any

import msgpack

from benchmarks.wire import TEXT, Client, Dialect, masked

_CONNECT, _EVENT, _ACK = 0, 2, 3
CHANNEL = "news"
"""The one that clients of Centrifugo subscribe to."""


class SocketIo(Dialect):
    """Socket.IO 4 over Engine.IO 4, WebSocket alone, with the msgpack parser."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def greet(self, client: Client) -> None:
        """Take the Engine.IO handshake, and connect to the main namespace."""
        assert client.receive_payload().startswith(b"0{")
        client.send(_packet(type=_CONNECT))
        assert msgpack.unpackb(client.receive_payload())["type"] == _CONNECT

    def command(self, method: str, *params: Any) -> bytes:
        """An event that asks for an acknowledgement."""
        return _packet(type=_EVENT, id=7, data=[method, *params])

    def decode(self, payload: bytes) -> Any:
        """An acknowledgement is a reply."""
        packet = msgpack.unpackb(payload)
        if packet["type"] == _ACK:
            error, *result = packet["data"]
            return [1, packet["id"], error, *(result or [None])]
        name, *params = packet["data"]
        return [2, name, params]


def _packet(**fields: Any) -> bytes:
    return masked(msgpack.packb({"nsp": "/", **fields}))


class Centrifugo(Dialect):
    """Centrifugo 6, its JSON protocol: subscribers of one channel, and nothing else."""

    path = "/connection/websocket"
    has_sessions = False

    def greet(self, client: Client) -> None:
        """Connect without a token, and subscribe."""
        requests: list[dict[str, Any]] = [{"connect": {}}, {"subscribe": {"channel": CHANNEL}}]
        for number, request in enumerate(requests):
            text = json.dumps({"id": number + 1, **request})
            client.send(masked(text.encode(), TEXT))
            reply = json.loads(client.receive_payload())
            assert "error" not in reply, reply
