"""
Stores in a cluster whose nodes die and whose slots move.
"""

import asyncio
from contextlib import suppress

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import StoreError
from keystay_server.stores.events import Emitted
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.slots import by_node, read_slots, slot_of
from keystay_server.stores.retention import Retention
from tests.support.asking import until
from tests.support.stores.installation import SOON_S, new_session, opened
from tests.support.stores.redis_node import (
    QUICK,
    Follower,
    actors_in,
    node,
    until_announced_or_missed,
    until_served,
)
from tests.support.stores.valkey_cluster import ValkeyCluster
from tests.support.valkey import Valkey, free_port, replicate

EMITTED = Emitted(None, "news", b"\xc0")


def partition_on(i: int, prefix: str = "ks") -> int:
    """A partition whose slot is on the i-th master."""
    roots = Partitions(prefix, 64).roots
    return next(p for p, root in enumerate(roots) if slot_of(root) // 5462 == i)


def actor_on(i: int, prefix: str = "ks") -> str:
    """An actor whose partition is on the i-th master."""
    return next(actors_in(partition_on(i, prefix)))


async def test_a_partition_goes_where_its_slot_goes(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """When a slot moves, commands follow it, and so do the subscriptions of every node."""
    partition = partition_on(1, prefix)
    alice, bob = actor_on(1, prefix), actor_on(2, prefix)
    slot = slot_of(Partitions(prefix, 64).roots[partition])
    async with (
        node(cluster.url(prefix)) as (one, heard),
        node(cluster.url(prefix)) as (other, _),
    ):
        heard.actors |= {alice, bob}
        first = await until_served(other, alice)
        await until_announced_or_missed(heard, first)
        # The slot moves as an operator moves it: with its keys, while nodes write.
        move(cluster, slot, 1, 2)
        await until_announced_or_missed(heard, await until_served(other, alice))
        await until_announced_or_missed(heard, await until_served(one, bob))
        assert [e.previous for e in (await other.history(alice, first.cursor)).events] == [
            first.cursor
        ]
        move(cluster, slot, 2, 1)
        await until_announced_or_missed(heard, await until_served(other, alice))


async def test_what_is_announced_while_a_slot_moves_is_not_lost(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """Each event is announced, or the actor is reported: the numbers go with the slot."""
    alice, retention = actor_on(1, prefix), Retention(history_events=100_000)
    slot = slot_of(Partitions(prefix, 64).root_of(alice))
    store, hub = RedisStore.from_url(cluster.url(prefix), retention, QUICK), Follower(alice)
    await store.start(hub)
    following = asyncio.create_task(hub.follow(store))
    async with node(cluster.url(prefix), retention) as (other, _):
        written: set[int] = set()

        async def write() -> None:
            while True:
                with suppress(Unavailable):
                    written.add((await other.emit(alice, EMITTED)).cursor)
                await asyncio.sleep(0)

        writer = asyncio.create_task(write())
        for source, target in ((1, 0), (0, 2), (2, 1)):
            await asyncio.to_thread(move, cluster, slot, source, target)
        await until_served(other, alice)
        writer.cancel()

        async def is_all_known() -> bool:
            return written <= hub.known

        await until(is_all_known)
    following.cancel()
    await store.stop()


async def test_broadcasts_go_where_their_slot_goes(cluster: ValkeyCluster, prefix: str) -> None:
    """When the slot of the first partition moves, every node goes on getting them."""
    async with (
        node(cluster.url(prefix)) as (_, heard),
        node(cluster.url(prefix)) as (other, heard_too),
    ):
        slot = slot_of(Partitions(prefix, 64).roots[0])
        here = slot // 5462
        move(cluster, slot, here, (here + 1) % 3)
        async with asyncio.timeout(SOON_S):
            for listener in (heard, heard_too):
                hearing = asyncio.ensure_future(listener.said_to_all())
                # One that comes while a node follows the slot may pass it by.
                while not hearing.done():
                    with suppress(Unavailable):
                        await other.broadcast(EMITTED)
                    await asyncio.sleep(0.01)
                assert await hearing == EMITTED
        move(cluster, slot, (here + 1) % 3, here)


async def test_a_master_that_dies_is_replaced(own_cluster: ValkeyCluster) -> None:
    """Its actors are unavailable until its replica serves; those of others never are."""
    lost, kept = actor_on(0), actor_on(1)
    async with node(own_cluster.url()) as (store, heard):
        heard.actors |= {lost, kept}
        new = new_session(lost)
        first = await opened(store, new)
        assert await heard.event() == first
        replicate(own_cluster.nodes[0])
        own_cluster.nodes[0].kill()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(QUICK.link.deadline_s + 0.3):
                await opened(store, new_session(lost))
        before = await opened(store, new_session(kept))
        assert await heard.event() == before
        after = await until_served(store, lost)
        assert (await store.check(lost, new.digest)).id == new.id
        await until_announced_or_missed(heard, after)


async def test_each_node_has_one_reader_for_each_master(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """It is subscribed to each partition once, on the master that has it, from the start."""

    def channels() -> list[list[str]]:
        found = [cluster.call(i, "PUBSUB", "SHARDCHANNELS", f"{prefix}:*") for i in range(3)]
        return [sorted(name for name in some if name.endswith("}")) for some in found]

    async with node(cluster.url(prefix)):
        here = channels()
    roots = Partitions(prefix, 64).roots
    assert here == [
        sorted(root for root in roots if slot_of(root) // 5462 == i) for i in range(3)
    ]


async def test_nodes_that_are_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """A store starts without its cluster, says so once, and is unavailable."""
    async with node(f"redis+cluster://:secret@127.0.0.1:{free_port()}") as (store, _):
        for _ in range(3):
            with pytest.raises(Unavailable):
                await opened(store, new_session())
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


async def test_a_single_server_is_no_cluster(valkey: Valkey) -> None:
    """What is not a cluster will not become one."""
    with pytest.raises(StoreError, match="use redis://"):
        async with node(f"redis+cluster://127.0.0.1:{valkey.port}"):
            pass


async def test_a_node_is_no_single_server(
    cluster: ValkeyCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """One node alone is refused at the start, or else it is said with the first refusal."""
    said = ""
    try:
        async with node(cluster.nodes[1].url()) as (store, _):
            with pytest.raises(Unavailable):
                await opened(store, new_session(actor_on(2)))
    except StoreError as error:
        said = str(error)
    assert "use redis+cluster://" in said + caplog.text


def test_a_map_is_read_from_an_answer() -> None:
    """Each slot has the first node of its range; an unnamed one is the node that was asked."""
    answer = [
        [0, 1, [b"a", 1, b"id"], [b"replica", 9, b"id"]],
        [3, 3, [b"", 2, b"id"]],
        [4, 4, [None, 3, b"id"]],
    ]
    assert read_slots(answer, "asked") == {
        0: ("a", 1),
        1: ("a", 1),
        3: ("asked", 2),
        4: ("asked", 3),
    }


def test_partitions_are_on_nodes() -> None:
    """One whose slot nobody has is nowhere; a node may have none."""
    here, there = ("here", 1), ("there", 1)
    slots = {slot_of("a"): here, slot_of("b"): here, 5: there}
    assert by_node(["a", "c", "b"], slots) == {here: [0, 2], there: []}


def move(cluster: ValkeyCluster, slot: int, source: int, target: int) -> None:
    """Move a slot, with what is in it."""
    ids = cluster.ids()
    cluster.call(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    cluster.call(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    port = cluster.nodes[target].port
    while keys := cluster.call(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
        cluster.call(source, "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
    cluster.call(target, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    cluster.call(source, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
