"""
`telemetry/counts.py`: what the parts of a node count in passing.
"""

import asyncio

from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.sessions.expiry import Activity, Expiry
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import BOUNDS_S, clock
from tests.support.server.gateway import HOST, listening
from tests.support.server.memory_node import MemoryNode, running_node
from tests.support.server.raw_peer import WAIT_S, dialled_narrowly, request


def now(counts: Counts) -> tuple[int, int]:
    """Connections, and those of them that hold a session."""
    return counts.connections_now, counts.bound_now


async def test_connections_are_counted_as_they_come_and_go(node: MemoryNode) -> None:
    """Open, bound, bound elsewhere, unbound by whichever way, gone."""
    counts = node.node.counts
    one, two = node.connect(), node.connect()
    assert now(counts) == (2, 0)
    key = await one.login("alice")
    assert now(counts) == (2, 1)
    await two.call("session.restore", key)
    other = await node.open_session("bob")
    await two.call("session.restore", other)
    assert now(counts) == (2, 2)
    await node.revoke(other)
    await two.wire.until(lambda wire: wire.events()[-1][0] == "session.unset")
    assert now(counts) == (2, 1)
    await one.call("session.logout")
    assert now(counts) == (2, 0)
    await one.login("alice")
    one.connection.lost()
    assert now(counts) == (1, 0)
    assert counts.connections == 2


async def test_events_are_counted_by_connection(node: MemoryNode) -> None:
    """One that two connections hear is two that were sent; one that nobody hears is none."""
    counts = node.node.counts
    one, two = node.connect(), node.connect()
    key = await one.login("alice")
    await two.call("session.restore", key)
    assert counts.events == 2, "that of the login, and that of the restore"
    await node.elsewhere.emit_to_actor("alice", "unheard", None)
    assert counts.events == 2
    await one.call("events.subscribe", ["news"])
    await node.elsewhere.emit_to_actor("alice", "news", None)
    await node.elsewhere.broadcast("news", None)
    await one.wire.until(lambda wire: len(wire.events()) == 3)
    assert counts.events == 4


async def test_only_restores_that_brought_everything_have_recovered(node: MemoryNode) -> None:
    """Not one without a cursor, nor one whose history does not reach back so far."""
    counts, client = node.node.counts, node.connect()
    key = await client.login("alice")
    cursor = (await node.change(key)).cursor
    await client.call("session.restore", key)
    await client.call("session.restore", key, {"cursor": 1})
    assert counts.recovered == 0
    await client.call("session.restore", key, {"cursor": cursor})
    assert counts.recovered == 1


async def test_propagation_is_from_the_stores_clock_to_this_one() -> None:
    """An event that was held up on its way is seen to be late; clocks that differ, too."""
    async with running_node() as node:
        seen = node.node.counts.propagation
        await node.connect().login("alice")
        assert (seen.total, sum(seen.counts[: BOUNDS_S.index(1.0) + 1])) == (1, 1)
        node.clock.passed_ms -= 3_600_000
        await node.connect().login("bob")
        assert seen.counts[-1] == 1
        node.clock.passed_ms += 2 * 3_600_000
        await node.connect().login("carol")
        # What seems to be of tomorrow took no time.
        assert seen.counts[0] >= 1


async def test_commands_are_counted_by_how_they_ended(node: MemoryNode) -> None:
    """At once or after waiting; what there is not, under one name."""
    counts, client = node.node.counts, node.connect()
    await client.login("alice")
    assert await client.refusal("session.isValid", 7) == "invalidParams"
    node.store.is_down = True
    assert await client.refusal("session.restore", "a:kst_" + "A" * 43) == "unavailable"
    for method in ("no.such", "nor.this"):
        assert await client.refusal(method) == "unknownCommand"
    assert counts.methods["session.login"].failures == {}
    assert counts.methods["session.login"].total == 1
    assert counts.methods["session.isValid"].failures == {"invalidParams": 1}
    assert counts.methods["session.restore"].failures == {"unavailable": 1}
    assert counts.unknown.failures == {"unknownCommand": 2}
    assert counts.unknown.total == 2


async def test_who_is_refused_and_who_is_cut_off_is_counted() -> None:
    """A handshake that fails, and a client that does not take what is sent."""
    async with (
        listening(Timings(slow_s=0.1, close_s=WAIT_S), OriginPolicy()) as gateway,
        dialled_narrowly(HOST, gateway.port) as slow,
        gateway.dialled() as stranger,
        gateway.connected() as other,
    ):
        counts = gateway.node.node.counts
        answer = await stranger.handshake(request(Origin="https://evil.example"))
        assert (answer.status, counts.refused["origin"]) == (403, 1)
        await slow.handshake()
        await slow.ask_for_4_kib(60)
        async with asyncio.timeout(WAIT_S):
            while not (counts.slow_clients and counts.outbox_bytes_now):
                await other.call("time.now")
        assert (await slow.close_frame())[0] == 4001
        assert counts.slow_clients == 1


async def test_what_may_be_overdue_is_since_nothing_was(node: MemoryNode) -> None:
    """A store that is away leaves it growing; one that answers starts it anew."""
    counts = Counts()
    expiry = Expiry(node.store, node.hub, Activity.NONE, counts)
    node.store.is_down = True
    started = clock()
    expiry.start()
    try:
        begun = counts.none_overdue_at
        assert started <= begun <= clock()
        await node.store.until_asked("expire", 3)
        assert counts.none_overdue_at == begun
        node.store.is_down = False
        await node.store.until_asked("expire", 5)
        assert counts.none_overdue_at > begun
    finally:
        await expiry.stop()


async def test_lateness_is_counted_by_session(node: MemoryNode) -> None:
    """Each that ends at its deadline, by how long after; none that ended otherwise."""
    counts = Counts()
    await node.revoke(await node.open_session())
    for ttl_s in (3600.0, 60.0, 59.0):
        await node.open_session(ttl_s=ttl_s)
    node.clock.passed_ms += 62_000
    expiry = Expiry(node.store, node.hub, Activity.NONE, counts)
    expiry.start()
    await node.store.until_asked("expire", 3)
    await expiry.stop()
    assert counts.expiry_late.total == 2
    assert 5 <= counts.expiry_late.seconds < 15
