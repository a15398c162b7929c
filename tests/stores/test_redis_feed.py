"""
How the feed in Redis survives the nodes that write it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.base import Emitted, FeedEntry, Retention, Store
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.due import SHARDS
from keystay_server.stores.redis.layout import feed_root, root_of
from keystay_server.stores.redis.tuning import RelayTuning
from tests.asking import until
from tests.stores.installation import EMPTY_MAP, SOON_S, Heard, opened, opening
from tests.stores.redis_node import QUICK
from tests.stores.test_store_contract_feed import by_actor, history_of, now, read
from tests.valkey import Valkey

EAGER = RelayTuning(gather_s=0.005, check_s=0.05, grace_ms=200, final_ms=1_500, lease_ms=300)
DYING = replace(EAGER, gather_s=3600, check_s=3600)
"""Writes, and does not come to append to the feed what it wrote."""


@pytest.fixture
async def admin(valkey: Valkey) -> AsyncIterator[Redis]:
    """A client that looks behind the curtain."""
    async with Redis(port=valkey.port) as client:
        yield client


@asynccontextmanager
async def node(
    url: str, tuning: RelayTuning = EAGER, retention: Retention | None = None
) -> AsyncIterator[RedisStore]:
    """Run a node."""
    store = RedisStore.from_url(url, retention or Retention(), replace(QUICK, relay=tuning))
    await store.start(Heard())
    try:
        yield store
    finally:
        await store.stop()


def part(prefix: str, actor_id: str) -> str:
    """What the keys of the actor's part of the feed start with."""
    return feed_root(prefix, SHARDS[key_slot(root_of(prefix, actor_id).encode()) >> 10])


async def marks(admin: Redis, prefix: str) -> int:
    """How many writes are not done with."""
    xlen: Any = admin.xlen
    return sum([await xlen(feed_root(prefix, shard) + ":fresh") for shard in SHARDS])


async def until_no_mark(admin: Redis, prefix: str) -> None:
    """Wait until every write is done with."""
    await until(lambda: marks(admin, prefix), lambda left: not left)


async def live(store: Store, actor_id: str) -> None:
    """Live through the sessions of an actor."""
    new = opening(actor_id)
    await opened(store, new)
    await store.emit(actor_id, Emitted(None, "app.said", EMPTY_MAP))
    await store.restore(actor_id, new.digest)
    await store.end(actor_id, new.id, LogoutScope.THIS, "loggedOut")


async def test_what_a_node_left_another_one_appends(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """Every event of a node that died before it came to the feed, once and in order."""
    url = valkey.url(prefix)
    actors = [f"actor-{i}" for i in range(40)]
    async with AsyncExitStack() as late, node(url) as store:
        start = await now(store)
        dying = await late.enter_async_context(node(url, DYING))
        await asyncio.gather(*(live(dying, actor_id) for actor_id in actors))
        entries, end = await read(store, start, 120)
        told = {actor_id: await history_of(store, actor_id) for actor_id in actors}
        assert by_actor(entries) == told
        # The other one was not dead after all: what it appends is there already.
        await late.aclose()
        await until_no_mark(admin, prefix)
        assert (await store.read_feed(end, 1)).entries == []


async def test_nodes_write_about_an_actor_in_turn(valkey: Valkey, prefix: str) -> None:
    """What a living node appends waits for what a dead one wrote before it."""
    url, new = valkey.url(prefix), opening()
    async with node(url) as store, node(url, DYING) as dying:
        start = await now(store)
        await opened(dying, new)
        for turn in range(20):
            await (store if turn % 2 else dying).restore("alice", new.digest)
        entries, _ = await read(store, start, 21)
        assert by_actor(entries) == {"alice": await history_of(store, "alice")}


async def test_a_write_that_comes_late_is_not_overlooked(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """Its mark is looked at in vain, and stays until it is sure that nothing comes."""
    url, new = valkey.url(prefix), opening()
    async with node(url) as store:
        start = await now(store)
        await until_no_mark(admin, prefix)
        fresh = part(prefix, "alice") + ":fresh"
        xadd: Any = admin.xadd
        await xadd(fresh, {"actor": "alice"})
        await asyncio.sleep(0.6)  # The relay has looked by now, and is done with the lease.
        assert await marks(admin, prefix) == 1
        async with node(url, DYING, Retention(feed_events=0)) as unmarked:
            await opened(unmarked, new)
        entries, _ = await read(store, start, 1)
        assert by_actor(entries) == {"alice": await history_of(store, "alice")}
        await until_no_mark(admin, prefix)


async def test_a_refused_write_leaves_nothing(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """A mark whose write brought nothing goes at once; after a crash, in the end."""
    url = valkey.url(prefix)
    async with node(url, replace(EAGER, grace_ms=60_000, final_ms=60_000)) as store:
        start = await now(store)
        assert await store.end("alice", None, LogoutScope.ALL, "revoked") == []
        await until_no_mark(admin, prefix)
    async with node(url, DYING) as dying:
        assert await dying.end("alice", None, LogoutScope.ALL, "revoked") == []
        async with node(url) as store:
            await until_no_mark(admin, prefix)
            assert (await store.read_feed(start, 1)).entries == []


async def test_what_was_forgotten_before_it_was_relayed_is_said_to_be_lost(
    valkey: Valkey, prefix: str
) -> None:
    """The history of the actor was too short: there is an entry without a change."""
    url, short = valkey.url(prefix), Retention(history_events=3)
    async with node(url, retention=short) as store, node(url, DYING, short) as dying:
        start, new = await now(store), opening()
        await opened(store, new)
        _, start = await read(store, start, 1)
        for _ in range(10):
            await dying.restore("alice", new.digest)
        entries, _ = await read(store, start, 4)
        assert [entry.change is None for entry in entries] == [True, False, False, False]
        told = by_actor(entries)["alice"][1:]
        assert told == await history_of(store, "alice")


async def test_a_mark_from_long_ago_is_a_loss(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """All nodes were down for longer than anything is remembered: that is said, once."""
    async with node(valkey.url(prefix)) as store:
        end = (await store.read_feed(None, 1)).position
        fresh = part(prefix, "alice") + ":fresh"
        xadd: Any = admin.xadd
        await xadd(fresh, {"actor": "alice"}, id="1000-0")
        [lost], end = await read(store, end, 1)
        assert lost == FeedEntry(lost.log, lost.number, "alice", 0, None)
        await until_no_mark(admin, prefix)
        assert (await store.read_feed(end, 1)).entries == []


async def test_a_feed_that_was_wiped_out_is_another_one(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """A position from before is told that something is missing, and leads to what is there."""
    async with node(valkey.url(prefix)) as store:
        start = await now(store)
        keys = [key async for key in admin.scan_iter(f"{prefix}:*")]
        await admin.delete(*keys)
        await live(store, "alice")
        async with asyncio.timeout(SOON_S):
            page = await store.read_feed(start, 100)
            while len(page.entries) < 3:
                await asyncio.sleep(0.01)
                page = await store.read_feed(start, 100)
        assert not page.is_complete
        assert by_actor(page.entries) == {"alice": await history_of(store, "alice")}


async def test_a_full_redis_still_tells_of_ends(own_valkey: Valkey) -> None:
    """A logout works without memory for anything new, and the feed has it."""
    async with node(own_valkey.url()) as store, Redis(port=own_valkey.port) as full:
        start, new = await now(store), opening()
        await opened(store, new)
        await full.config_set("maxmemory", 1)
        await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
        entries, _ = await read(store, start, 2)
        assert by_actor(entries) == {"alice": await history_of(store, "alice")}


async def test_every_key_of_the_feed_expires(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """Entries with the history, what is known of an actor soon after, the rest in a month."""
    async with node(valkey.url(prefix)) as store:
        start = await now(store)
        await live(store, "alice")
        await read(store, start, 3)
        await until_no_mark(admin, prefix)
        root = part(prefix, "alice")
        minutes = {
            key.decode().removeprefix(root): round((await admin.pttl(key)) / 60_000)
            async for key in admin.scan_iter(f"{root}:*")
        }
    month = 30 * 24 * 60
    assert minutes[":done:alice"] == 11
    assert minutes[":log"] == 10
    assert minutes[":last"] == minutes[":fresh"] == month
