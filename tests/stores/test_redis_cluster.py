"""
Stores in a cluster whose nodes die and whose slots move.
"""

import asyncio
from contextlib import suppress

import pytest
from redis.crc import key_slot

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Emitted, StoreError
from keystay_server.stores.redis.layout import EVERYBODY, channel_of
from keystay_server.stores.redis.slots import moved, neighbours, read_slots
from tests.stores.installation import SOON_S, Heard, opened, opening
from tests.stores.redis_node import QUICK, node, until_served
from tests.stores.valkey_cluster import ValkeyCluster
from tests.valkey import Valkey, free_port, replicate


def actor_on(i: int, name: str = "actor") -> str:
    """An actor whose slot is on the i-th master."""
    candidates = (f"{name}-{n}" for n in range(1000))
    return next(c for c in candidates if key_slot(channel_of("ks", c)) // 5462 == i)


async def until_missed(heard: Heard, actor_id: str) -> None:
    """Wait until events of the actor may be missing."""
    async with asyncio.timeout(SOON_S):
        while actor_id not in await heard.loss():
            pass


async def test_an_actor_goes_where_its_slot_goes(cluster: ValkeyCluster, prefix: str) -> None:
    """When a slot moves, commands follow it, and so does the watching of its actors."""
    alice, bob = actor_on(1, prefix), actor_on(2, prefix)
    async with (
        node(cluster.url()) as (watcher, heard),
        node(cluster.url()) as (other, _),
    ):
        await watcher.watch(alice)
        await watcher.watch(bob)
        move(cluster, key_slot(channel_of("ks", alice)), 1, 2)
        # This node has no reason to know. It is told, and follows.
        await opened(other, opening(alice))
        await until_missed(heard, alice)
        event = await opened(other, opening(alice))
        while await heard.event() != event:
            pass  # What was written before may have been heard of, or not.
        event = await opened(watcher, opening(bob))
        assert await heard.event() == event
        watcher.unwatch(alice)
        await opened(other, opening(alice))
        marker = await opened(other, opening(bob))
        assert await heard.event() == marker


async def test_what_is_said_to_all_goes_where_its_slot_goes(
    cluster: ValkeyCluster, prefix: str
) -> None:
    """When its slot moves, every node goes on hearing what is said to everybody."""
    async with (
        node(cluster.url(prefix)) as (one, heard),
        node(cluster.url(prefix)) as (other, heard_too),
    ):
        slot = key_slot(channel_of(prefix, EVERYBODY))
        here = slot // 5462
        move(cluster, slot, here, (here + 1) % 3)
        emitted = Emitted(None, "news", b"\xc0")
        async with asyncio.timeout(SOON_S):
            for listener in (heard, heard_too):
                hearing = asyncio.ensure_future(listener.said_to_all())
                # What is said while a node follows the slot may pass it by.
                while not hearing.done():
                    with suppress(Unavailable):
                        await other.broadcast(emitted)
                    await one.sessions("nobody")
                assert await hearing == emitted
        move(cluster, slot, (here + 1) % 3, here)


async def test_a_master_that_dies_is_replaced(own_cluster: ValkeyCluster) -> None:
    """Its actors are unavailable until its replica serves; those of others never are."""
    lost, kept = actor_on(0), actor_on(1)
    async with node(own_cluster.url()) as (store, heard):
        for actor_id in (lost, kept):
            await store.watch(actor_id)
        new = opening(lost)
        await opened(store, new)
        replicate(own_cluster.nodes[0])
        own_cluster.nodes[0].kill()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(QUICK.link.deadline_s + 0.3):
                await opened(store, opening(lost))
        before = await opened(store, opening(kept))
        await until_missed(heard, lost)
        assert (await store.check(lost, new.digest)).id == new.id
        after = await until_served(store, lost)
        events = {(await heard.event()).cursor for _ in range(3)}
        assert {before.cursor, after.cursor} < events


async def test_nodes_that_are_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """A store starts without its cluster, says so once, and is unavailable."""
    async with node(f"redis+cluster://:secret@127.0.0.1:{free_port()}") as (store, _):
        for _ in range(3):
            with pytest.raises(Unavailable):
                await opened(store, opening())
            with pytest.raises(Unavailable):
                await store.watch("alice")
            store.unwatch("alice")
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
                await opened(store, opening(actor_on(2)))
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


def test_neighbours_are_on_the_same_node() -> None:
    """Those that are not, or that nobody has, are left out; if none is left, any will do."""
    here, there = ("here", 1), ("there", 1)
    slots = {key_slot(b"a"): here, key_slot(b"b"): here, key_slot(b"c"): there}
    assert neighbours("a", ["b", "c", "d"], slots) == ["b"]
    assert neighbours("c", ["a", "b", "d"], slots) == ["a", "b", "d"]


def test_channels_move_with_their_slots() -> None:
    """A channel whose slot nobody has stays where it is."""
    here, there = ("here", 1), ("there", 1)
    channels = [channel_of("ks", name) for name in "abc"]
    a, b, _ = map(key_slot, channels)
    assert moved(channels, here, {a: here, b: there}) == {there: [channels[1]]}


def move(cluster: ValkeyCluster, slot: int, source: int, target: int) -> None:
    """Move a slot that is empty."""
    ids = cluster.ids()
    cluster.call(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    cluster.call(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    cluster.call(target, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    cluster.call(source, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
