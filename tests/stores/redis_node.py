"""
One node over a Redis, quicker to give up and to try again than in earnest.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Retention, StoredEvent
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.tuning import FeedTuning, LinkTuning, Tuning
from tests.stores.installation import SOON_S, Heard, opened, opening

QUICK = Tuning(
    connect_s=0.4,
    link=LinkTuning(lanes=2, deadline_s=0.4),
    feed=FeedTuning(probe_s=0.1, confirm_s=0.4, backoff_base_s=0.01, backoff_cap_s=0.05),
)


@asynccontextmanager
async def node(
    url: str, retention: Retention | None = None
) -> AsyncIterator[tuple[RedisStore, Heard]]:
    """Run a started store, and what it announces to."""
    store, heard = RedisStore.from_url(url, retention or Retention(), QUICK), Heard()
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
                return await opened(store, opening(actor_id))
            await asyncio.sleep(0)


async def until_watched(store: RedisStore, actor_id: str) -> None:
    """Keep trying until the actor is watched."""
    async with asyncio.timeout(SOON_S):
        while True:
            with suppress(Unavailable):
                return await store.watch(actor_id)
            await asyncio.sleep(0)
