"""
What each operation costs a Redis: how many commands, and how long they block it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession
from keystay_server.stores.events import Emitted, History
from keystay_server.stores.records import Holding, NewSession, Policy
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import EMPTY_MAP, SOON_S, new_session, opened
from tests.support.stores.redis_node import UNPROBED, actors_in, node
from tests.support.valkey import Valkey

SLOW_US = 5_000
MANY = 10_000


class Costs:
    """Counts the commands that a server carries out, those within scripts included."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def of(self, work: Callable[[], Awaitable[object]]) -> dict[str, int]:
        """How often each command was carried out meanwhile."""
        await self._client.config_resetstat()
        await work()
        stats: dict[str, Any] = await self._client.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
        counts.pop("config|resetstat")
        return counts


@pytest.fixture
async def costs(own_valkey: Valkey) -> AsyncIterator[Costs]:
    """The costs of a server of one's own."""
    async with Redis(port=own_valkey.port) as client:
        yield Costs(client)


@pytest.fixture
async def store(own_valkey: Valkey) -> AsyncIterator[RedisStore]:
    """A store that sends nothing unasked, and has loaded its scripts."""
    async with node(own_valkey.url(), tuning=UNPROBED) as (store, _):
        new = new_session("somebody")
        await opened(store, new)
        await store.restore("somebody", new.digest)
        yield store


async def many(store: RedisStore, number: int, actor_id: str = "alice") -> list[NewSession]:
    """Open many sessions of one actor."""
    news = [new_session(actor_id, ttl_ms=600_000) for _ in range(number)]
    for start in range(0, number, 500):
        await asyncio.gather(*map(store.create, news[start : start + 500]))
    return news


async def test_a_key_that_opens_nothing_costs_one_read(
    own_valkey: Valkey, costs: Costs
) -> None:
    """No write and no subscription, and the same whether or not the actor is there."""
    async with (
        node(own_valkey.url(), tuning=UNPROBED) as (store, heard),
        Redis(port=own_valkey.port) as admin,
    ):
        here = actors_in(3)
        connected, known, unknown = next(here), next(here), next(here)
        heard.actors.add(connected)
        await opened(store, new_session(connected))
        await opened(store, new_session(known))
        execute: Any = admin.execute_command
        before = await admin.dbsize(), await execute("PUBSUB", "SHARDCHANNELS")

        for actor_id in (connected, known, unknown):
            digest = new_session().digest
            for after in (None, 17):

                async def restore(
                    actor_id: str = actor_id, digest: bytes = digest, after: int | None = after
                ) -> None:
                    with pytest.raises(NoSession):
                        await store.restore(actor_id, digest, after)

                assert await costs.of(restore) == {"evalsha": 1, "hmget": 1}
        after_ = await admin.dbsize(), await execute("PUBSUB", "SHARDCHANNELS")
        assert (before[0], sorted(before[1])) == (after_[0], sorted(after_[1]))


async def test_a_restore_is_one_read(store: RedisStore, costs: Costs) -> None:
    """It writes only if at least a third of the ttl is gone: the deadline, nothing else."""
    new = new_session()
    event = await opened(store, new)
    read = {"evalsha": 1, "hmget": 1, "time": 1, "get": 1}
    assert await costs.of(lambda: store.restore("alice", new.digest)) == read
    store.shift_ms += 30_000
    extended = await costs.of(lambda: store.restore("alice", new.digest))
    assert extended == read | {"hset": 1, "zadd": 1}
    told = await costs.of(lambda: store.restore("alice", new.digest, event.cursor - 1))
    assert told == read | {"xrange": 2}


async def test_a_write_is_one_script(store: RedisStore, costs: Costs) -> None:
    """Create, change, emit and end: one EVALSHA each, and no command in vain."""
    new = new_session()
    policy = Policy(limit=2)
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: store.create(new),
        lambda: store.create(new_session(), policy),
        lambda: store.create(new_session(), policy),
        lambda: store.emit("alice", Emitted(None, "app.said", EMPTY_MAP)),
        lambda: store.end("alice", None, LogoutScope.ALL, "revoked"),
    ]
    counts = [await costs.of(step) for step in steps]
    assert [count["evalsha"] for count in counts] == [1] * len(steps)
    created = {
        "evalsha",
        "time",
        "hget",
        "hset",
        "zadd",
        "set",
        "xadd",
        "pexpireat",
        "spublish",
    }
    assert counts[0].keys() == created
    assert sum(counts[0].values()) == 13


async def test_touching_many_is_a_script_for_a_hundred(store: RedisStore, costs: Costs) -> None:
    """One that still has more than two thirds of its ttl is read, and nothing is written."""
    actor_id = next(actors_in(5))
    news = await many(store, 250, actor_id)
    holdings = [Holding(actor_id, new.digest) for new in news]
    counts = await costs.of(lambda: store.touch(holdings))
    assert counts == {"evalsha": 3, "hmget": 250, "time": 3}
    store.shift_ms += 300_000
    counts = await costs.of(lambda: store.touch(holdings))
    assert counts == {"evalsha": 3, "hmget": 250, "time": 3, "hset": 250, "zadd": 250}


async def test_asking_for_what_is_due_is_one_script(store: RedisStore, costs: Costs) -> None:
    """For all partitions of a server. Twice a second it notes that they were asked."""
    await store.expire()
    asked = {"evalsha": 1, "time": 1, "hmget": 64, "zrange": 64}
    assert await costs.of(store.expire) == asked
    store.shift_ms += 500
    assert await costs.of(store.expire) == asked | {"hset": 64, "xtrim": 128}
    await opened(store, new_session(ttl_ms=400))
    store.shift_ms += 450
    counts = await costs.of(store.expire)
    assert (counts["evalsha"], counts["spublish"]) == (2, 1)


async def test_many_partitions_are_asked_in_steps(own_valkey: Valkey, costs: Costs) -> None:
    """One script looks at 64 of them."""
    async with node(own_valkey.url(), partitions=256, tuning=UNPROBED) as (store, _):
        await store.expire()
        counts = await costs.of(store.expire)
        assert (counts["evalsha"], counts["hmget"]) == (4, 256)


async def test_old_entries_of_a_log_are_deleted_in_steps(own_valkey: Valkey) -> None:
    """A few hundred each time that a partition is asked, until none is left."""
    retention = Retention(feed_events=5_000)
    async with (
        node(own_valkey.url(), retention, partitions=1, tuning=UNPROBED) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        said = Emitted(None, "app.said", EMPTY_MAP)
        await asyncio.gather(*(store.emit("alice", said) for _ in range(1_150)))
        store.shift_ms += 2 * retention.feed_ms
        left = []
        for _ in range(3):
            await store.expire()
            left.append(await admin.xlen("ks:{0}:log"))
            store.shift_ms += 500
        assert left == [650, 150, 0]


async def test_no_script_blocks_the_server(own_valkey: Valkey) -> None:
    """An actor with 10,000 sessions logs in, restores, is listed and is logged out."""
    async with (
        node(own_valkey.url(), tuning=UNPROBED) as (store, heard),
        Redis(port=own_valkey.port) as admin,
    ):
        heard.actors.add("alice")
        news = await many(store, MANY)
        await admin.config_set("slowlog-max-len", MANY)
        await admin.config_set("slowlog-log-slower-than", SLOW_US // 20)
        await admin.slowlog_reset()
        for new in news[:5]:
            await opened(store, new_session())
            await store.restore("alice", new.digest, 0)
            await store.sessions("alice", 300, news[MANY // 2].id)
            await store.sessions("alice", 100, newest=True)
        await store.create(new_session(), Policy(limit=MANY - 500))
        ended = await store.end("alice", news[-1].id, LogoutScope.OTHERS, "loggedOut")
        assert len(ended) == MANY - 500 - 1
        async with asyncio.timeout(SOON_S):
            while await heard.event() != ended[-1]:
                pass
        assert all(us < SLOW_US for us in await typical_us(admin))


async def typical_us(admin: Redis) -> list[int]:
    """
    How long each script took, by the slow log: the median of the times that it was run.

    The log has the time that passed, and now and then another process had the core.
    """
    times: dict[bytes, list[int]] = defaultdict(list)
    for entry in await admin.slowlog_get(MANY):
        if entry["command"].startswith(b"EVALSHA"):
            times[entry["command"].split()[1]].append(entry["duration"])
    assert times
    return [sorted(some)[len(some) // 2] for some in times.values()]


async def test_a_lowered_number_of_tombstones_is_reached_in_steps(
    own_valkey: Valkey, costs: Costs
) -> None:
    """Each logout forgets a hundred at most, until there are as few as there may be."""
    async with node(own_valkey.url(), tuning=UNPROBED) as (
        store,
        _,
    ):
        await many(store, 350)
        await store.end("alice", None, LogoutScope.ALL, "revoked")
    async with node(own_valkey.url(), Retention(tombstones=10), tuning=UNPROBED) as (store, _):
        forgotten = []
        for _ in range(5):
            new = new_session()
            await opened(store, new)
            counts = await costs.of(partial(store.end, "alice", new.id, LogoutScope.ALL, "x"))
            forgotten.append(counts["hexists"])
    assert forgotten == [100, 100, 100, 44, 1]


async def test_a_long_history_is_read_in_pages(own_valkey: Valkey, costs: Costs) -> None:
    """Each is bounded by events and by bytes; a restore reads one, or recovers nothing."""
    retention = Retention(history_events=5_000)
    async with node(own_valkey.url(), retention, tuning=UNPROBED) as (store, _):
        new = new_session()
        first = await opened(store, new)
        said = Emitted(None, "app.said", EMPTY_MAP)
        large = Emitted(None, "app.said", b"\xc5\x80\x00" + bytes(2**15))
        events = [await store.emit("alice", said) for _ in range(1_024)]
        assert (await store.restore("alice", new.digest, first.cursor - 1)).missed == History(
            [], complete=False
        )
        missed = (await store.restore("alice", new.digest, first.cursor)).missed
        assert missed == History([], complete=False)
        missed = (await store.restore("alice", new.digest, events[0].cursor)).missed
        assert missed == History(events[1:], complete=True)
        events += [await store.emit("alice", large) for _ in range(100)]
        counts = await costs.of(partial(store.history, "alice", first.cursor))
        assert (counts["evalsha"], counts["xrange"]) == (5, 5 + 64 + 7)
        assert await store.history("alice", first.cursor) == History(events, complete=True)


@pytest.mark.parametrize("others", [0, 3_000])
async def test_a_login_costs_the_same_with_many_sessions(
    store: RedisStore, costs: Costs, others: int
) -> None:
    """The commands of login, restore and logout do not depend on how many there are."""
    await many(store, others)
    new = new_session()
    counts = [
        await costs.of(lambda: store.create(new)),
        await costs.of(lambda: store.restore("alice", new.digest)),
        await costs.of(lambda: store.end("alice", new.id, LogoutScope.THIS, "loggedOut")),
    ]
    # The last session of an actor takes the newest cursor along, in its time.
    assert [sum(count.values()) for count in counts] == [13, 4, 20 if others else 21]
