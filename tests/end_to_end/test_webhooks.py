"""
Webhooks arrive when the node that delivers them is killed.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from keystay_server.feed.webhooks import LEASE
from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from tests.support.asking import until
from tests.support.end_to_end.writers import ACTORS, LONG, Story, story_of, told_of, writing
from tests.support.server_process import serving
from tests.support.stores.installation import Heard
from tests.support.valkey import Valkey

pytestmark = pytest.mark.long

SECRET = bytes(range(32))


class Receiver:
    """An application that takes webhooks, on a bad day."""

    def __init__(self) -> None:
        self.story: Story = {actor_id: [] for actor_id in ACTORS}
        self.bodies: dict[str, set[bytes]] = {}
        self.batches = 0
        self.url = ""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take one batch; or take it and say nothing, or refuse it."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
            headers = dict(line.lower().split(": ", 1) for line in head if line)
            body = await reader.readexactly(int(headers["content-length"]))
            self.check(head, body)
            mood = random.random()
            if mood < 0.9:
                self.take(json.loads(body)["events"])
            if mood < 0.8:
                writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            elif mood > 0.9:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The sender was killed.
        finally:
            writer.close()

    def check(self, head: list[str], body: bytes) -> None:
        """Check the signature, as Standard Webhooks has it; an id is that of one batch."""
        exact = dict(line.split(": ", 1) for line in head if line)
        id_, at = exact["webhook-id"], exact["webhook-timestamp"]
        signed = f"{id_}.{at}.".encode() + body
        digest = hmac.new(SECRET, signed, hashlib.sha256).digest()
        assert exact["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        assert abs(time.time() - int(at)) < 60
        self.bodies.setdefault(id_, set()).add(body)

    def take(self, events: list[dict[str, object]]) -> None:
        """Take what was not taken before, by cursor: the rest was sent again."""
        self.batches += 1
        for event in events:
            assert event["type"] in ("session.set", "session.unset")
            actor_id, told = told_of(event)
            story = self.story[actor_id]
            if not story or told[0] > story[-1][0]:
                story.append(told)

    async def until_taken(self, batches: int) -> None:
        """Wait until so many batches were taken."""
        async with asyncio.timeout(20):
            while self.batches < batches:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.05)


async def until_begun(url: str) -> None:
    """Wait until there is a place to begin at: the first node begins with its first moment."""
    store = open_store(url, Retention(feed_events=0))
    await store.start(Heard())
    await until(lambda: store.saved_position(LEASE))
    await store.stop()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield receiver


async def test_sigkill_of_the_node_that_delivers_loses_nothing(
    valkey: Valkey, tmp_path: Path
) -> None:
    """Each event arrives, in the order of its actor, also if it has to be sent again."""
    url, secret = valkey.url(), tmp_path / "secret"
    secret.write_text(f"whsec_{base64.b64encode(SECRET).decode()}\n")
    async with AsyncExitStack() as cleanup:
        receiver = await cleanup.enter_async_context(receiving())
        hook = ("--webhook-url", receiver.url, "--webhook-secret-file", str(secret))
        flags = ("--store", url, *LONG, *hook)
        delivering = await cleanup.enter_async_context(serving(*flags))
        await until_begun(url)
        async with writing(delivering) as writers:
            for _ in range(2):
                # It has the lease: it was there first, or the other one is gone.
                seen = receiver.batches
                other = await cleanup.enter_async_context(serving(*flags))
                writers.nodes.append(other)
                await receiver.until_taken(seen + 3)
                await writers.until_written(100)
                await delivering.kill()
                writers.nodes.remove(delivering)
                delivering = other
            await writers.until_written(100)
        story = await story_of(url)
        async with asyncio.timeout(30):
            total = sum(map(len, story.values()))
            while sum(map(len, receiver.story.values())) < total:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert receiver.story == story
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values())
