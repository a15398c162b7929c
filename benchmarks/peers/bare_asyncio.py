"""
The floor: the least that a server in Python can do for the same messages.

A bare `asyncio.Protocol` on uvloop with msgpack and a dict. It answers login, `session.isValid`
and `time.now`, and sends one event to everybody for `pub`. It trusts what it reads: no limits,
no store, no order, no errors. It is a yardstick, not an example.
"""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import time
from typing import Any, cast

import msgpack
import uvloop
from websockets.speedups import apply_mask

TTL_MS = 1_800_000
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

pack = msgpack.Packer(autoreset=True).pack
expires_at: dict[bytes, int] = {}
"""For the digest of each key, when its session ends."""
everybody: set["Peer"] = set()


class Peer(asyncio.Protocol):
    """One client. Each read is one handshake, or one frame."""

    __slots__ = ("is_open", "transport")

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the handshake."""
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = False
        everybody.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        everybody.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer what came."""
        if not self.is_open:
            self.transport.write(accepted(data))
            self.is_open = True
            return
        length = data[1] & 127
        _, id_, method, params = msgpack.unpackb(apply_mask(data[6 : 6 + length], data[2:6]))
        if method == "session.isValid":
            digest = hashlib.sha256(params[0].encode()).digest()
            is_live = expires_at.get(digest, 0) > time.time() * 1000
            self.transport.write(frame([1, id_, None if is_live else "noSession", None]))
        elif method == "session.login":
            session = log_in()
            result = {"session": session, "cursor": 1, "recovered": False}
            event = frame([2, "session.set", [session, 1]])
            self.transport.write(event + frame([1, id_, None, result]))
        elif method == "time.now":
            self.transport.write(frame([1, id_, None, time.time_ns() // 1_000_000]))
        elif method == "pub":
            event = frame([2, params[0], [params[1], None]])
            for peer in everybody:
                peer.transport.write(event)
            self.transport.write(frame([1, id_, None, None]))


def accepted(request: bytes) -> bytes:
    """The answer to a handshake."""
    lines = request.split(b"\r\n")
    [line] = [line for line in lines if line.lower().startswith(b"sec-websocket-key:")]
    key = line.partition(b":")[2].strip()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: keystay.v1\r\n\r\n" % accept
    )


def log_in() -> dict[str, Any]:
    """Open a session for a new actor; only the digest of its key and its end are kept."""
    now = time.time_ns() // 1_000_000
    actor_id = f"anonymous-{secrets.token_hex(8)}"
    key = f"{actor_id}:kst_{secrets.token_urlsafe(32)}"
    expires_at[hashlib.sha256(key.encode()).digest()] = now + TTL_MS
    return {
        "key": key,
        "actorId": actor_id,
        "meta": {},
        "id": secrets.token_urlsafe(12),
        "language": "en",
        "version": None,
        "createdAt": now,
        "expiresAt": now + TTL_MS,
        "endsAt": None,
    }


def frame(message: Any) -> bytes:
    """A message as one frame."""
    payload: bytes = pack(message)
    size = len(payload)
    head = bytes((0x82, size)) if size < 126 else bytes((0x82, 126, size >> 8, size & 255))
    return head + payload


async def main() -> None:
    """Serve on a free port until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ready = {"event": "ready", "listen": f"ws://127.0.0.1:{port}", "pid": os.getpid()}
    print(json.dumps(ready), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
