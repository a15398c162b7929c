"""
A backend that reads the feed of all sessions, from whichever node, and goes on where it was.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import httpx

from tests.soak.nodes import Node
from tests.soak.record import FeedItem
from tests.soak.recorder import Recorder
from tests.support.event_source import listening

STAY_S = (2.0, 20.0)
TRY_AGAIN_S = 0.5


class FeedReader:
    """One reader; it moves to another node now and then."""

    def __init__(self, recorder: Recorder, nodes: Sequence[Node], rng: random.Random) -> None:
        self.has_begun = asyncio.Event()
        self._recorder = recorder
        self._nodes = nodes
        self._rng = rng
        self._last_id = ""
        self._items: list[FeedItem] = []
        recorder.record.feeds.append(self._items)

    async def read(self) -> None:
        """Read until cancelled."""
        while True:
            node = self._rng.choice(self._nodes)
            with suppress(TimeoutError, EOFError, httpx.HTTPError):
                async with asyncio.timeout(self._rng.uniform(*STAY_S)):
                    await self._read_from(node)
            self._recorder.counts["feed: connections"] += 1
            await asyncio.sleep(TRY_AGAIN_S)

    async def _read_from(self, node: Node) -> None:
        async with listening(node.control, last_id=self._last_id) as source:
            if source.response.status_code != 200:
                return
            await source.begun()
            self._last_id = source.last_id
            self.has_begun.set()
            while True:
                event = await source.event()
                self._last_id = event.id
                if event.name == "feed.lost":
                    self._recorder.record.feeds_lost += 1
                    continue
                data = event.data
                session_id = data["session"]["id"] if "session" in data else data["id"]
                self._items.append(FeedItem(data["actorId"], data["cursor"], session_id))
