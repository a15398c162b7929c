"""
One node over a Redis, quicker to give up and to try again than in earnest.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress

from keystay_protocol.errors import Unavailable
from keystay_server.stores.events import Emitted, StoredEvent
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.tuning import (
    LinkTuning,
    RepairTuning,
    SubscriptionTuning,
    Tuning,
)
from keystay_server.stores.retention import Retention
from tests.support.asking import until
from tests.support.stores.installation import SOON_S, Heard, new_session, opened

QUICK = Tuning(
    connect_s=0.4,
    link=LinkTuning(lanes=2, deadline_s=0.4),
    subscription=SubscriptionTuning(
        probe_s=0.1, confirm_s=0.4, backoff_base_s=0.01, backoff_cap_s=0.05
    ),
    repair=RepairTuning(again_s=0.02),
)

UNPROBED = Tuning(subscription=SubscriptionTuning(probe_s=3600))
"""Asks its server for nothing by itself, once it is subscribed."""


@asynccontextmanager
async def node(
    url: str,
    retention: Retention | None = None,
    *,
    partitions: int = 64,
    tuning: Tuning = QUICK,
) -> AsyncIterator[tuple[RedisStore, Heard]]:
    """Run a started store, and what it announces to."""
    store = RedisStore.from_url(url, retention or Retention(), tuning, partitions)
    heard = Heard()
    await store.start(heard)
    try:
        yield store, heard
    finally:
        await store.stop()


async def until_served(store: RedisStore, actor_id: str = "alice") -> StoredEvent:
    """Keep trying until a session could be opened."""
    async with asyncio.timeout(SOON_S):
        while True:
            with suppress(Unavailable):
                return await opened(store, new_session(actor_id))
            await asyncio.sleep(0)


async def until_unavailable(work: Callable[[], Awaitable[object]]) -> None:
    """Keep trying until it is refused."""

    async def is_refused() -> bool:
        try:
            await work()
        except Unavailable:
            return True
        return False

    await until(is_refused)


async def until_announced(heard: Heard, event: StoredEvent) -> None:
    """Wait until this event is announced; those before it may be, or not."""
    async with asyncio.timeout(SOON_S):
        while await heard.event() != event:
            pass


async def until_missed(heard: Heard, actor_id: str) -> None:
    """Wait until events of the actor may be missing."""
    async with asyncio.timeout(SOON_S):
        while actor_id not in await heard.loss():
            pass


async def until_announced_or_missed(heard: Heard, event: StoredEvent) -> None:
    """Wait until a hub would know of the event in one way or the other."""
    ways = [
        asyncio.create_task(until_announced(heard, event)),
        asyncio.create_task(until_missed(heard, event.actor_id)),
    ]
    done, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in others:
        way.cancel()
    await asyncio.gather(*done)


class Follower:
    """A listener that reads an actor's history when something may be missing, as a hub does."""

    def __init__(self, actor_id: str) -> None:
        self.actors = {actor_id}
        self.known: set[int] = set()
        """The cursors of the events that it knows of."""
        self._is_missing = asyncio.Event()

    def wants(self, actor_id: str, cursor: int) -> bool:
        return actor_id in self.actors

    def announced(self, event: StoredEvent) -> None:
        self.known.add(event.cursor)

    def missed(self, actor_ids: Collection[str]) -> None:
        self._is_missing.set()

    def announced_to_all(self, emitted: Emitted) -> None:
        raise AssertionError("nobody broadcasts here")

    async def follow(self, store: RedisStore) -> None:
        """Read what may be missing, for ever."""
        [actor_id] = self.actors
        while True:
            await self._is_missing.wait()
            self._is_missing.clear()
            try:
                history = await store.history(actor_id, 0)
            except Unavailable:
                self._is_missing.set()
                await asyncio.sleep(0.01)
            else:
                self.known |= {event.cursor for event in history.events}


def actors_in(partition: int, count: int = 64) -> Iterator[str]:
    """Actors of a partition, any number of them."""
    partitions, number = Partitions("ks", count), 0
    while True:
        if partitions.of(actor_id := f"actor-{number}") == partition:
            yield actor_id
        number += 1
