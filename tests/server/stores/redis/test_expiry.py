"""
How sessions in a Redis end at their deadlines, and how they survive its absence.
"""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from keystay_protocol.errors import Unavailable
from keystay_server.stores.events import SessionUnset
from keystay_server.stores.records import Holding, Policy
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.slots import slot_of
from keystay_server.stores.redis.tuning import ExpiryTuning
from tests.server.stores.contract.test_expiry import expired
from tests.support.asking import until
from tests.support.stores.installation import SOON_S, new_session, opened
from tests.support.stores.redis_node import QUICK, actors_in, node, until_unavailable
from tests.support.stores.valkey_cluster import ValkeyCluster
from tests.support.valkey import Valkey

MINUTE = 60_000
ABSENT_MS, GRACE_MS = ExpiryTuning().absent_ms, ExpiryTuning().grace_ms
PATIENT = replace(QUICK, expiry=ExpiryTuning(absent_ms=10**9))
"""Takes nothing for an absence."""
HASTY = replace(QUICK, expiry=ExpiryTuning(absent_ms=300, grace_ms=500, sweep_ms=100))
"""Takes a third of a second for an absence."""


async def test_many_nodes_end_each_session_once(valkey: Valkey, prefix: str) -> None:
    """Without leases: whichever node asks a partition first ends what is due there."""
    url = valkey.url(prefix)
    async with (
        node(url, tuning=PATIENT) as (one, heard),
        node(url, tuning=PATIENT) as (two, _),
        node(url, tuning=PATIENT) as (three, _),
    ):
        news = [new_session(f"actor-{i % 50}") for i in range(500)]
        await asyncio.gather(*map(one.create, news))
        heard.actors |= {new.actor_id for new in news}
        nodes = (one, two, three)
        for store in nodes:
            store.shift_ms += MINUTE

        async def expire_all(store: RedisStore) -> int:
            count = 0
            while late := await store.expire():
                count += len(late)
            return count

        assert sum(await asyncio.gather(*map(expire_all, nodes))) == len(news)
        ended: list[str] = []
        while len(ended) < len(news):
            change = (await heard.event()).change  # One that was opened may come late.
            if isinstance(change, SessionUnset):
                ended.append(change.session_id)
        assert sorted(ended) == sorted(n.id for n in news)


async def test_a_grace_is_shared_by_nodes(valkey: Valkey, prefix: str) -> None:
    """A node that asks in vain gives every other one the time to extend what it holds."""
    url = valkey.url(prefix)
    async with node(url) as (one, _), node(url) as (two, _):
        held, left = new_session(), new_session()
        await opened(one, held)
        await opened(one, left)
        await one.expire()
        one.shift_ms = two.shift_ms = MINUTE + ABSENT_MS
        assert await one.expire() == []
        assert await two.expire() == []
        await two.touch([Holding("alice", held.digest)])
        for _ in range(3):
            one.shift_ms += GRACE_MS // 3
            two.shift_ms = one.shift_ms
            last = await two.expire()
        assert len(last) == 1
        assert await expired(one) == [left.id]
        assert (await one.check("alice", held.digest)).id == held.id


async def test_without_an_absence_there_is_no_grace(valkey: Valkey, prefix: str) -> None:
    """While nodes ask, a session ends at its deadline."""
    async with node(valkey.url(prefix)) as (store, _):
        await opened(store, new_session(ttl_ms=3_000))
        for _ in range(3):
            store.shift_ms += 900
            assert await store.expire() == []
        store.shift_ms += 300
        [late] = await store.expire()
        assert 0 <= late < 1_000


async def test_in_a_grace_sessions_count_for_a_policy(valkey: Valkey, prefix: str) -> None:
    """They may be held, so a login ends none as expired; one that is replaced is replaced."""
    async with node(valkey.url(prefix)) as (store, _):
        held = [new_session(), new_session()]
        for new in held:
            await opened(store, new)
        await store.expire()
        store.shift_ms += MINUTE + ABSENT_MS
        unset, _ = await store.create(new_session(), Policy(limit=2))
        assert isinstance(unset.change, SessionUnset)
        assert (unset.change.session_id, unset.change.reason) == (held[0].id, "replaced")
        await store.touch([Holding("alice", held[1].digest)])
        assert (await store.check("alice", held[1].digest)).id == held[1].id


async def test_a_silent_redis_ends_nothing_that_is_held(own_valkey: Valkey) -> None:
    """Away for longer than the ttl: when it is back, nodes extend first what they hold."""
    async with node(own_valkey.url(), tuning=HASTY) as (store, _):
        held, left = new_session(ttl_ms=800), new_session(ttl_ms=800)
        await opened(store, held)
        await opened(store, left)
        assert await store.expire() == []
        own_valkey.pause()
        try:
            for _ in range(3):  # Each takes a deadline, all of them longer than the ttl.
                await until_unavailable(lambda: store.check("alice", held.digest))
        finally:
            own_valkey.resume()

        async def touched() -> bool:
            try:
                await store.touch([Holding("alice", held.digest)])
            except Unavailable:
                return False
            return True

        async def ends() -> list[str]:
            try:
                await store.expire()
                await store.touch([Holding("alice", held.digest)])
                return await expired(store)
            except Unavailable:
                return []

        await until(touched)
        assert await until(ends) == [left.id]
        assert (await store.check("alice", held.digest)).id == held.id


async def test_a_refusing_redis_ends_nothing_that_is_held(own_valkey: Valkey) -> None:
    """What cannot be written for a while, because the disk is full, ends nothing later."""
    async with (
        node(own_valkey.url(), tuning=HASTY) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        held = new_session(ttl_ms=MINUTE)
        await opened(store, held)
        await store.expire()
        await admin.config_set("min-replicas-to-write", 1)
        with pytest.raises(Unavailable):
            await store.touch([Holding("alice", held.digest)])
        with pytest.raises(Unavailable):
            await store.expire()
        await admin.config_set("min-replicas-to-write", 0)
        store.shift_ms += MINUTE
        assert await store.expire() == []
        await store.touch([Holding("alice", held.digest)])
        store.shift_ms += 250
        assert await store.expire() == []
        store.shift_ms += 250
        assert await store.expire() == []
        assert (await store.check("alice", held.digest)).id == held.id


async def test_a_full_redis_keeps_and_ends_sessions(own_valkey: Valkey) -> None:
    """Without memory for a new session, those that are held live on, and others expire."""
    async with (
        node(own_valkey.url(), tuning=PATIENT) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        kept, over = new_session(), new_session()
        await opened(store, kept)
        await opened(store, over)
        await admin.config_set("maxmemory", 1)
        store.shift_ms += 50_000
        await store.touch([Holding("alice", kept.digest)])
        store.shift_ms += 10_000
        assert len(await store.expire()) == 1
        assert await expired(store) == [over.id]
        assert (await store.restore("alice", kept.digest)).record.id == kept.id


async def test_a_session_that_somebody_deleted_blocks_no_other(
    valkey: Valkey, prefix: str
) -> None:
    """Its entry in the index of deadlines goes, and those behind it end."""
    async with (
        node(valkey.url(prefix), partitions=1, tuning=PATIENT) as (store, _),
        Redis(port=valkey.port) as admin,
    ):
        gone, over = new_session(), new_session()
        await opened(store, gone)
        await opened(store, over)
        await admin.delete(f"{prefix}:{{0}}:session:{gone.digest.hex()}")
        store.shift_ms += MINUTE
        assert len(await store.expire()) == 1
        assert await admin.zcard(f"{prefix}:{{0}}:due") == 0


async def test_an_outage_of_one_node_holds_up_no_other(own_cluster: ValkeyCluster) -> None:
    """What is due on one master ends, whatever has happened to another."""
    async with node(own_cluster.url(), tuning=PATIENT) as (store, _):
        news = [new_session(next(actors_in(partition))) for partition in range(64)]
        await asyncio.gather(*map(store.create, news))
        store.shift_ms += MINUTE
        own_cluster.nodes[0].pause()
        try:
            ended = 0
            async with asyncio.timeout(SOON_S):
                while ended < 30:
                    async with asyncio.timeout(PATIENT.expiry.patience_s + 0.3):
                        ended += len(await store.expire())
        finally:
            own_cluster.nodes[0].resume()


async def test_partitions_are_asked_while_a_slot_moves(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """The other partitions of the node end what is due, as if nothing moved."""
    roots = Partitions(prefix, 64).roots
    here = [p for p, root in enumerate(roots) if slot_of(root) // 5462 == 1]
    slot, ids = slot_of(roots[here[0]]), cluster.ids()
    async with node(cluster.url(prefix), tuning=PATIENT) as (store, _):
        news = [new_session(next(actors_in(partition))) for partition in here]
        await asyncio.gather(*map(store.create, news))
        store.shift_ms += MINUTE
        cluster.call(2, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[1])
        cluster.call(1, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[2])
        try:
            ended = 0
            async with asyncio.timeout(SOON_S):
                while ended < len(here) - 1:
                    ended += len(await store.expire())
        finally:
            for i in (1, 2):
                cluster.call(i, "CLUSTER", "SETSLOT", slot, "STABLE")
