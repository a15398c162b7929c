"""
The peer: what a Python programmer writes without Keystay, and no less than that.

`websockets.asyncio.server` on uvloop with msgpack, compression off, keys in a
dict. It says the same messages as Keystay for login, `session.isValid` and
`time.now`, and does nothing else: no store, no digests, no limits, no events.
"""

import argparse
import json
import logging
import os
import secrets
import time
from typing import Any

import msgpack
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

TTL_MS = 1_800_000

expires_at: dict[str, int] = {}
"""For each key, when its session ends."""


async def handle(websocket: ServerConnection) -> None:
    """Answer one client until it goes."""
    async for data in websocket:
        assert isinstance(data, bytes)
        _, id_, method, params = msgpack.unpackb(data)
        error: str | None = None
        result: Any = None
        if method == "session.isValid":
            if expires_at.get(params[0], 0) <= now_ms():
                error = "noSession"
        elif method == "session.login":
            session, cursor = log_in(), now_ms() * 1024
            await websocket.send(msgpack.packb([2, "session.set", [session, cursor]]))
            result = {"session": session, "cursor": cursor, "recovered": False}
        elif method == "time.now":
            result = now_ms()
        else:
            error = "unknownCommand"
        await websocket.send(msgpack.packb([1, id_, error, result]))


def log_in() -> dict[str, Any]:
    """Open a session for a new actor; only its key and its end are kept."""
    now = now_ms()
    actor_id = f"anonymous-{secrets.token_hex(8)}"
    key = f"{actor_id}:kst_{secrets.token_urlsafe(32)}"
    expires_at[key] = now + TTL_MS
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


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


async def main(*, pings: bool) -> None:
    """Serve on a free port until the process is ended."""
    logging.getLogger("websockets").setLevel(
        logging.CRITICAL
    )  # Clients leave without a close frame.
    options: dict[str, Any] = {} if pings else {"ping_interval": None}
    async with serve(
        handle,
        "127.0.0.1",
        0,
        compression=None,
        subprotocols=[Subprotocol("keystay.v1")],
        **options,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        ready = {"event": "ready", "listen": f"ws://127.0.0.1:{port}", "pid": os.getpid()}
        print(json.dumps(ready), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-pings", action="store_true", help="send no keepalive pings")
    uvloop.run(main(pings=not parser.parse_args().no_pings))
