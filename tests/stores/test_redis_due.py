"""
How nodes over one Redis share the work of ending what is due.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.base import Holding, Retention
from keystay_server.stores.redis.due import LEASE_MS, SHARDS
from keystay_server.stores.redis.layout import due_key, due_name, read_due_name
from keystay_server.stores.redis.scripts import DUE_LEASE, DUE_RELEASE, Script
from tests.stores.installation import opened, opening
from tests.stores.redis_node import node
from tests.stores.test_redis_cluster import actor_on
from tests.stores.test_store_contract import ODD_ACTORS
from tests.stores.test_store_contract_expiry import MINUTE, expire_all, expired
from tests.stores.valkey_cluster import ValkeyCluster
from tests.valkey import Valkey


class Index:
    """The index of a prefix, as another node that is about to die would use it."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self.client = client
        self.keys = [due_key(prefix, shard) for shard in SHARDS]

    async def run(self, script: Script, key: str, shift_ms: int, *words: Any) -> Any:
        """Run a script."""
        retention = Retention()
        common = (shift_ms, retention.tombstone_ms, retention.history_ms, 256)
        evaluate: Any = self.client.eval
        return await evaluate(script.text, 1, key, *common, *words)

    async def lease(self, shift_ms: int) -> list[tuple[str, bytes, list[bytes]]]:
        """Lease all that is due; return shard, lease and sessions."""
        answers = [
            (key, await self.run(DUE_LEASE, key, shift_ms, LEASE_MS, 256)) for key in self.keys
        ]
        return [(key, lease, names) for key, (lease, *names) in filter(lambda a: a[1], answers)]

    async def noted(self) -> dict[bytes, float]:
        """All that is in it."""
        found: dict[bytes, float] = {}
        zrange: Any = self.client.zrange
        for key in self.keys:
            found |= await zrange(key, 0, -1, withscores=True)
        return found


@pytest.fixture
async def index(valkey: Valkey, prefix: str) -> AsyncIterator[Index]:
    """The index of this test's prefix."""
    async with Redis(port=valkey.port) as client:
        yield Index(client, prefix)


async def test_what_a_killed_node_took_another_ends(
    valkey: Valkey, prefix: str, index: Index
) -> None:
    """Sessions whose end was a killed node's business end when its lease runs out."""
    async with node(valkey.url(prefix)) as (store, _):
        news = [opening(f"actor-{i}") for i in range(20)]
        for new in news:
            await opened(store, new)
        store.shift_ms += MINUTE
        leased = await index.lease(store.shift_ms)
        assert sum(len(names) for _, _, names in leased) == len(news)
        store.shift_ms += LEASE_MS - 3_000
        assert await expire_all(store) == []
        store.shift_ms += 3_000
        assert sum(await expire_all(store)) == len(news)
        for new in news:
            assert await expired(store, new.actor_id) == [new.id]
    assert await index.noted() == {}


async def test_a_node_that_is_too_slow_changes_nothing(
    valkey: Valkey, prefix: str, index: Index
) -> None:
    """What a node gives back after its lease ran out was given back by another already."""
    async with node(valkey.url(prefix)) as (store, _):
        new = opening()
        await opened(store, new)
        store.shift_ms += 50_000
        await store.touch([Holding("alice", new.digest)])
        store.shift_ms += 10_000
        [(key, lease, [name])] = await index.lease(store.shift_ms)
        store.shift_ms += LEASE_MS
        assert await store.expire() == [None]
        noted = await index.noted()
        assert list(noted) == [name]
        await index.run(DUE_RELEASE, key, store.shift_ms, lease, name, "", "")
        assert await index.noted() == noted
        store.shift_ms += MINUTE
        assert await expire_all(store) == [1]


async def test_the_index_holds_a_session_once(
    valkey: Valkey, prefix: str, index: Index
) -> None:
    """Extending adds nothing, and what is over leaves the index when it comes up."""
    async with node(valkey.url(prefix)) as (store, _):
        left, kept = opening(), opening()
        await opened(store, left)
        await opened(store, kept)
        await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
        for _ in range(3):
            store.shift_ms += 50_000
            await store.restore("alice", kept.digest)
            await expire_all(store)
            assert due_name("alice", kept.digest) in await index.noted()
        record = await store.check("alice", kept.digest)
        [(_, looked_at)] = (await index.noted()).items()
        assert looked_at <= record.expires_at
        store.shift_ms += MINUTE
        assert sum(await expire_all(store)) == 1
    assert await index.noted() == {}


async def test_a_full_redis_keeps_and_ends_sessions(own_valkey: Valkey) -> None:
    """Without memory for a new session, those that are held live on, and others expire."""
    async with (
        node(own_valkey.url()) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        kept, over = opening(), opening()
        await opened(store, kept)
        await opened(store, over)
        await admin.config_set("maxmemory", 1)
        store.shift_ms += 50_000
        await store.touch([Holding("alice", kept.digest)])
        store.shift_ms += 10_000
        await expire_all(store)
        assert await expired(store) == [over.id]
        assert (await store.check("alice", kept.digest)).id == kept.id


async def test_an_outage_of_one_node_holds_up_no_other(own_cluster: ValkeyCluster) -> None:
    """What is due on one master ends, whatever has happened to another."""
    actor_id = actor_on(1)
    async with node(own_cluster.url()) as (store, _):
        new = opening(actor_id)
        await opened(store, new)
        store.shift_ms += MINUTE
        own_cluster.nodes[0].kill()
        assert len(await store.expire()) == 1
        assert await expired(store, actor_id) == [new.id]


def test_shards_are_spread_over_the_slots() -> None:
    """One in each sixteenth, so that a master with that many slots in a row has one."""
    slots = [key_slot(due_key("ks", shard).encode()) for shard in SHARDS]
    assert [slot // 1024 for slot in slots] == list(range(16))


@pytest.mark.parametrize("actor_id", ODD_ACTORS)
def test_what_names_a_session_is_read_again(actor_id: str) -> None:
    """Any actor and any digest."""
    digest = opening().digest
    assert read_due_name(due_name(actor_id, digest)) == (actor_id, digest)
