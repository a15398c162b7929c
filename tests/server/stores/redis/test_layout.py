"""
The layout that a store records, and the names in it.
"""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from keystay_protocol.errors import Unavailable
from keystay_protocol.session import is_actor_id
from keystay_server.stores import open_store
from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.retention import Retention
from tests.support.asking import until
from tests.support.stores.installation import new_session, opened
from tests.support.stores.redis_node import node, until_served
from tests.support.stores.valkey_cluster import ValkeyCluster
from tests.support.valkey import Valkey

actor_ids = st.text(min_size=1, max_size=128).filter(is_actor_id)


@given(actor_ids, st.integers(1, 256))
def test_an_actor_is_in_one_partition(actor_id: str, count: int) -> None:
    """The same on every node, and one that there is."""
    partitions = Partitions("ks", count)
    assert partitions.root_of(actor_id) == f"ks:{{{partitions.of(actor_id)}}}"
    assert partitions.root_of(actor_id) in Partitions("ks", count).roots


def test_actors_are_spread() -> None:
    """Names that differ in a number are in all partitions alike."""
    partitions, counts = Partitions("ks", 64), [0] * 64
    for number in range(64_000):
        counts[partitions.of(f"user:{number}")] += 1
    assert min(counts) > 800
    assert max(counts) < 1_200


@pytest.mark.parametrize("count", [0, 257, -1])
def test_there_are_up_to_256_partitions(count: int) -> None:
    """Another number is refused before anything is asked of a server."""
    with pytest.raises(StoreError, match="1 to 256 partitions"):
        open_store("redis://localhost", Retention(), count)


async def test_the_layout_is_recorded(valkey: Valkey, prefix: str) -> None:
    """By the first node; others that say the same start too."""
    async with Redis(port=valkey.port) as admin:
        for _ in range(2):
            async with node(valkey.url(prefix), partitions=16):
                assert await admin.get(f"{prefix}:layout") == b"2 16"


@pytest.mark.parametrize("other", [16, 256])
async def test_another_number_of_partitions_is_refused(
    valkey: Valkey, prefix: str, other: int, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line that has both numbers, and says what to do."""
    async with node(valkey.url(prefix)) as (store, _):
        await opened(store, new_session())
    told = (
        f"the store has 64 partitions, --partitions says {other}: "
        "start with --partitions 64, or use another prefix"
    )
    with pytest.raises(StoreError) as refused:
        async with node(valkey.url(prefix), partitions=other):
            pass
    assert str(refused.value) == told
    assert not caplog.records


async def test_another_number_is_refused_by_a_cluster(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """Whichever of its nodes has recorded it."""
    async with node(cluster.url(prefix), partitions=8):
        pass
    with pytest.raises(StoreError, match=r"the store has 8 partitions, --partitions says 64"):
        async with node(cluster.url(prefix)):
            pass


@pytest.mark.parametrize("key", ["due:{10}", "feed:{40}:last"])
async def test_data_of_the_old_layout_is_refused(valkey: Valkey, prefix: str, key: str) -> None:
    """In one line, and nothing is recorded."""
    async with Redis(port=valkey.port) as admin:
        await admin.set(f"{prefix}:{key}", "")
        with pytest.raises(StoreError, match="the layout of an earlier version") as refused:
            async with node(valkey.url(prefix)):
                pass
        assert await admin.get(f"{prefix}:layout") is None
    assert "\n" not in str(refused.value)


async def test_a_layout_of_the_future_is_refused(valkey: Valkey, prefix: str) -> None:
    """What this version cannot read it does not touch."""
    async with Redis(port=valkey.port) as admin:
        await admin.set(f"{prefix}:layout", "3 64 something")
        with pytest.raises(StoreError, match="written by another version"):
            async with node(valkey.url(prefix)):
                pass


async def test_a_mismatch_that_shows_later_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that was away at the start has another layout: nothing is read or written."""
    server = Valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        async with Redis(port=server.port) as admin:
            await admin.set("ks:layout", "2 16")
        server.kill()
        async with node(server.url()) as (store, _):
            [_] = caplog.records
            await asyncio.to_thread(server.start)
            for _ in range(20):
                with pytest.raises(Unavailable):
                    await opened(store, new_session())
                await asyncio.sleep(0)
            async with Redis(port=server.port) as admin:
                assert await admin.keys("*") == [b"ks:layout"]
        assert len(caplog.records) == 1
    finally:
        server.kill()


async def test_a_layout_that_changes_is_noticed(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """A backup of another installation is restored: it is logged once, and heals if undone."""
    async with node(own_valkey.url()) as (store, _), Redis(port=own_valkey.port) as admin:
        await opened(store, new_session())
        await admin.set("ks:layout", "2 16")

        async def is_unavailable() -> bool:
            try:
                await store.sessions("alice", 1)
            except Unavailable:
                return True
            return False

        await until(is_unavailable)
        await until(lambda: admin.get("ks:layout"))
        told = [r for r in caplog.records if "the store has 16 partitions" in r.getMessage()]
        assert len(told) == 1
        await admin.set("ks:layout", "2 64")
        await until_served(store)
