"""
The feed in Redis: the logs of all partitions.
"""

from typing import Any

import pytest
from redis.asyncio import Redis

from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, FeedEntry
from keystay_server.stores.position import Position
from keystay_server.stores.records import Changes
from keystay_server.stores.retention import Retention
from tests.server.stores.redis.test_costs import Costs
from tests.support.stores.installation import EMPTY_MAP, new_session, opened
from tests.support.stores.proxy import proxy_to
from tests.support.stores.redis_node import UNPROBED, actors_in, node, until_unavailable
from tests.support.valkey import Valkey


async def now(store: Store) -> Position:
    """Where the feed ends."""
    return (await store.read_feed(None, 1)).position


async def read(store: Store, after: Position, most: int) -> list[FeedEntry]:
    """Read on to the end, in pages."""
    entries: list[FeedEntry] = []
    while True:
        page = await store.read_feed(after, most)
        assert page.is_complete
        assert len(page.entries) <= most
        entries += page.entries
        after = page.position
        if page.is_end:
            return entries


async def test_a_busy_partition_fills_a_page(own_valkey: Valkey) -> None:
    """What is all in one partition is read in as many pages as if it were spread."""
    # Unprobed and without an announcement yet: all partitions are read.
    async with node(own_valkey.url(), tuning=UNPROBED) as (store, _):
        start, actors = await now(store), actors_in(7)
        news = [new_session(next(actors)) for _ in range(300)]
        for new in news:
            await opened(store, new)
        page = await store.read_feed(start, 200)
        assert [entry.actor_id for entry in page.entries] == [n.actor_id for n in news[:200]]
        assert not page.is_end
        rest = await read(store, page.position, 200)
        assert [entry.actor_id for entry in rest] == [n.actor_id for n in news[200:]]


@pytest.mark.parametrize("most", [1, 7, 1000])
async def test_entries_come_in_the_order_of_their_numbers(
    valkey: Valkey, prefix: str, most: int
) -> None:
    """Of all partitions, each entry once, whatever the size of a page."""
    async with node(valkey.url(prefix)) as (store, heard):
        start = await now(store)
        actors = [f"actor-{i}" for i in range(100)]
        heard.actors |= set(actors)
        for actor_id in actors:
            await opened(store, new_session(actor_id))
            await store.emit(actor_id, Emitted(None, "app.said", EMPTY_MAP))
        for _ in range(200):
            await heard.event()
        entries = await read(store, start, most)
        assert sorted(entry.actor_id for entry in entries) == sorted(actors)
        if most == 1000:
            numbers = [entry.number for entry in entries]
            assert numbers == sorted(numbers)


async def test_what_backends_emit_does_not_stop_a_reader(valkey: Valkey, prefix: str) -> None:
    """However many events lie between two entries, the reader gets past them."""
    retention = Retention(feed_events=200_000)
    async with node(valkey.url(prefix), retention, partitions=1) as (store, heard):
        start, new = await now(store), new_session()
        heard.actors.add("alice")
        await opened(store, new)
        for _ in range(1_100):
            await store.emit("alice", Emitted(None, "app.said", EMPTY_MAP))
        last = await store.change("alice", new.id, Changes(language="fi"), None)
        while await heard.event() != last:
            pass
        entries = await read(store, start, 10)
        assert [entry.cursor for entry in entries][1:] == [last.cursor]


async def test_only_partitions_with_something_new_are_read(own_valkey: Valkey) -> None:
    """Nothing is asked of the others, once a node knows how far they are."""
    async with (
        node(own_valkey.url(), tuning=UNPROBED) as (store, heard),
        Redis(port=own_valkey.port) as client,
    ):
        costs, end = Costs(client), await now(store)
        heard.actors.add("alice")
        await heard_of(store, heard)
        counts = await costs.of(lambda: store.read_feed(end, 100))
        assert counts["evalsha"] == 1
        page = await store.read_feed(end, 100)
        assert len(page.entries) == 1
        assert await costs.of(lambda: store.read_feed(page.position, 100)) == {}


async def test_what_is_not_announced_yet_is_read(valkey: Valkey, prefix: str) -> None:
    """
    A node that knows where the feed ends reads up to there, whether it was announced or not.

    Otherwise a listener that joins others at the end would miss what lies between.
    """
    async with (
        proxy_to(valkey.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}", tuning=UNPROBED) as (
            store,
            heard,
        ),
    ):
        heard.actors.add("alice")
        await heard_of(store, heard)
        before = await now(store)
        assert proxy.swallow(b"SSUBSCRIBE") == 1
        unheard = await opened(store, new_session())
        end = await now(store)
        page = await store.read_feed(before, 100)
        assert [entry.cursor for entry in page.entries] == [unheard.cursor]
        assert page.position == end


async def heard_of(store: Store, heard: Any) -> None:
    """Open a session of alice's, and wait until this node has heard of it."""
    event = await opened(store, new_session())
    assert await heard.event() == event


async def test_a_redis_that_is_away_has_no_end(own_valkey: Valkey) -> None:
    """A reader is not told that there is nothing new when nobody can know."""
    async with node(own_valkey.url()) as (store, _):
        end = await now(store)
        own_valkey.kill()
        await until_unavailable(lambda: store.read_feed(end, 100))


async def test_a_feed_that_was_wiped_out_is_another_one(valkey: Valkey, prefix: str) -> None:
    """A position from before is told that something is missing, and leads to what is there."""
    async with node(valkey.url(prefix)) as (store, heard), Redis(port=valkey.port) as admin:
        await opened(store, new_session())
        start = await now(store)
        keys = [key async for key in admin.scan_iter(f"{prefix}:*")]
        await admin.delete(*keys)
        heard.actors.add("alice")
        event = await opened(store, new_session())
        assert await heard.event() == event
        page = await store.read_feed(start, 100)
        assert not page.is_complete
        assert [entry.cursor for entry in page.entries] == [event.cursor]
        assert (await store.read_feed(page.position, 100)).is_complete


async def test_without_a_feed_the_log_has_no_data(valkey: Valkey, prefix: str) -> None:
    """Gaps are repaired from it, and it is short."""
    async with (
        node(valkey.url(prefix), Retention(feed_events=0), partitions=1) as (store, _),
        Redis(port=valkey.port) as admin,
    ):
        event = await opened(store, new_session())
        xrange: Any = admin.xrange
        [(id_, fields)] = await xrange(f"{prefix}:{{0}}:log")
    assert id_ == f"{event.cursor}-0".encode()
    assert fields == {b"previous": b"0", b"actor": b"alice", b"event": b""}
