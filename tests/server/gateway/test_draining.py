"""
A node that goes away: everybody is told, and what is under way is finished.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from keystay_server.gateway.deadlines import Timings
from tests.support.server.gateway import HOST, Door, listening
from tests.support.server.raw_peer import (
    BINARY,
    CLOSE,
    WAIT_S,
    RawPeer,
    command,
    dialled,
    frame,
    request,
)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door where a goodbye has a second."""
    async with listening(Timings(close_s=1.0)) as door:
        yield door


async def stopped(door: Door, drain_s: float = WAIT_S) -> None:
    """Stop the listener."""
    async with asyncio.timeout(WAIT_S):
        await door.listener.stop(drain_s)


async def leave(peer: RawPeer) -> int:
    """Take part in the closing handshake; return the server's code."""
    code, _ = await peer.goodbye()
    peer.send(frame(CLOSE, code.to_bytes(2)))
    await peer.end()
    peer.writer.close()
    return code


async def test_everybody_is_told_and_closed_with_1012(door: Door) -> None:
    """`server.draining` with a slot of one's own, bound or not, whatever is subscribed to."""
    slots = []
    async with door.connected() as one, door.connected() as other:
        await one.call("session.login", "anonymous")
        await other.call("events.unsubscribe", ["session"])
        stopping = asyncio.create_task(stopped(door))
        for peer in (one, other):
            kind, name, (data, cursor) = await peer.message()
            assert (kind, name, cursor) == (2, "server.draining", None)
            slots.append(data["reconnectAfter"])
            assert await leave(peer) == 1012
        await stopping
    assert all(type(slot) is int and 0 <= slot <= 5000 for slot in slots)
    assert slots[0] != slots[1]


async def test_commands_under_way_are_answered(door: Door) -> None:
    """The one that waits for the store, and those behind it: then comes the goodbye."""
    key = await door.node.open_session()
    async with door.connected() as peer:
        door.node.store.hold_answers("restore")
        peer.send(
            frame(BINARY, command(1, "session.restore", key)),
            frame(BINARY, command(2, "session.list")),
            frame(BINARY, command(3, "session.logout")),
            frame(BINARY, command(4, "time.now")),
        )
        await door.node.store.until_done("restore")
        stopping = asyncio.create_task(stopped(door))
        assert (await peer.message())[1] == "server.draining"
        door.node.store.deliver_answers("restore")
        seen = [(await peer.message())[1] for _ in range(6)]
        assert seen == ["session.set", 1, 2, "session.unset", 3, 4]
        assert await leave(peer) == 1012
        await stopping


async def test_a_client_that_never_stops_asking_does_not_hold_the_node_up() -> None:
    """Once the node is going away, what still comes is left unread."""
    login = frame(BINARY, command(1, "session.login", "anonymous"))
    async with listening(Timings(close_s=0.1)) as door, door.connected() as peer:
        flood = [
            asyncio.create_task(ask_for_ever(peer, login * 1000)),
            asyncio.create_task(read_for_ever(peer)),
        ]
        await door.node.store.until_asked("create", 100)
        started = asyncio.get_running_loop().time()
        await stopped(door, drain_s=WAIT_S)
        assert asyncio.get_running_loop().time() - started < 1
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_a_command_that_never_ends_is_given_up(door: Door) -> None:
    """At the end of its time the drain goes on without it."""
    key = await door.node.open_session()
    async with door.connected() as peer:
        door.node.store.hold_answers("restore")
        peer.send(frame(BINARY, command(1, "session.restore", key)))
        await door.node.store.until_done("restore")
        stopping = asyncio.create_task(stopped(door, drain_s=0.05))
        assert (await peer.message())[1] == "server.draining"
        assert await leave(peer) == 1012
        await stopping


async def test_nobody_new_is_let_in(door: Door) -> None:
    """The door closes first."""
    async with door.connected() as peer:
        stopping = asyncio.create_task(stopped(door))
        await peer.message()
        with pytest.raises(OSError, match=r".*"):
            async with dialled(HOST, door.port):
                pass
        await leave(peer)
        await stopping


async def test_who_is_still_shaking_hands_is_dropped(door: Door) -> None:
    """There is nobody to say goodbye to, and nothing to wait for."""
    async with door.dialled() as peer:
        peer.send(request()[:-2])
        await asyncio.sleep(0)
        started = asyncio.get_running_loop().time()
        await stopped(door)
        assert await peer.end() == b""
        assert asyncio.get_running_loop().time() - started < 0.5


async def test_who_does_not_answer_the_goodbye_is_dropped() -> None:
    """A client that hangs delays the stop by no more than the time for a goodbye."""
    async with listening(Timings(close_s=0.1)) as door, door.connected() as peer:
        await stopped(door)
        assert await peer.goodbye() == (1012, "the node is restarting")
        assert await peer.end() == b""


async def ask_for_ever(peer: RawPeer, data: bytes) -> None:
    """Send commands as fast as they are taken."""
    while True:
        peer.send(data)
        await peer.writer.drain()
        await asyncio.sleep(0)


async def read_for_ever(peer: RawPeer) -> None:
    """Take whatever comes."""
    while await peer.reader.read(65_536):
        pass
