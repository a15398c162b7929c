"""
Backends that open and end sessions on several nodes, whatever becomes of the nodes.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx

from keystay_server.stores import open_store
from keystay_server.stores.events import Emitted
from keystay_server.stores.retention import Retention
from tests.support.backend import backend_of
from tests.support.server_process import ServerProcess
from tests.support.stores.installation import Heard

ACTORS = [f"player:{number}" for number in range(12)]
AT_ONCE = 24
LONG = ("--history-events", "100000")
"""So that the history has the whole story, to compare with."""

Story = dict[str, list[tuple[int, str]]]
"""For each actor, the cursors of its events and the sessions they are about."""


class Writers:
    """Use the nodes of the moment."""

    def __init__(self, *nodes: ServerProcess) -> None:
        self.nodes = list(nodes)
        self.written = 0
        self.is_over = False

    async def write(self, number: int) -> None:
        """Open sessions, and end most of them, until it is over."""
        async with backend_of(api_key="test-api-key", timeout=5) as client:
            while not self.is_over:
                node = random.choice(self.nodes)
                # A node that is killed answers nothing: what it did shows in the store.
                with suppress(httpx.HTTPError, KeyError):
                    body = {"actorId": ACTORS[number % len(ACTORS)]}
                    answer = await client.post(f"{node.control}/v1/sessions", json=body)
                    id_ = answer.json()["id"]
                    self.written += 1
                    if random.random() < 0.8:
                        await client.delete(f"{node.control}/v1/sessions/{id_}")
                await asyncio.sleep(random.uniform(0, 0.05))

    async def until_written(self, more: int) -> None:
        """Wait until so many more sessions were opened."""
        wanted = self.written + more
        async with asyncio.timeout(30):
            while self.written < wanted:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def writing(*nodes: ServerProcess) -> AsyncIterator[Writers]:
    """Keep writing until the end of the block; what was begun is finished then."""
    writers = Writers(*nodes)
    tasks = [asyncio.create_task(writers.write(number)) for number in range(AT_ONCE)]
    try:
        yield writers
    finally:
        writers.is_over = True
        await asyncio.gather(*tasks)


async def story_of(url: str) -> Story:
    """What happened, as the history of each actor has it."""
    store = open_store(url, Retention(history_events=100_000, feed_events=0))
    await store.start(Heard())
    try:
        story: Story = {}
        for actor_id in ACTORS:
            events = (await store.history(actor_id, 0)).events
            story[actor_id] = [
                (event.cursor, _session_in(event.change))
                for event in events
                if not isinstance(event.change, Emitted)
            ]
        return story
    finally:
        await store.stop()


def _session_in(change: Any) -> str:
    return str(change.record.id if hasattr(change, "record") else change.session_id)


def told_of(event: dict[str, Any]) -> tuple[str, tuple[int, str]]:
    """The actor of an event, its cursor and its session."""
    id_ = event["session"]["id"] if "session" in event else event["id"]
    return event["actorId"], (event["cursor"], id_)
