"""
A node that stops: every client is notified, and commands under way are finished.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from keystay_server.gateway.deadlines import Timings
from tests.support.server.gateway import HOST, Gateway, listening
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
async def gateway() -> AsyncIterator[Gateway]:
    """A client port where a closing handshake has a second."""
    async with listening(Timings(close_s=1.0)) as gateway:
        yield gateway


async def stopped(gateway: Gateway, drain_s: float = WAIT_S) -> None:
    """Stop the listener."""
    async with asyncio.timeout(WAIT_S):
        await gateway.listener.stop(drain_s)


async def leave(peer: RawPeer) -> int:
    """Take part in the closing handshake; return the server's code."""
    code, _ = await peer.close_frame()
    peer.send(frame(CLOSE, code.to_bytes(2)))
    await peer.end()
    peer.writer.close()
    return code


async def test_every_connection_is_notified_and_closed_with_1012(gateway: Gateway) -> None:
    """`server.draining` with its own `reconnectAfter`, bound or not, whatever is subscribed."""
    slots = []
    async with gateway.connected() as one, gateway.connected() as other:
        await one.call("session.login", "anonymous")
        await other.call("events.unsubscribe", ["session"])
        stopping = asyncio.create_task(stopped(gateway))
        for peer in (one, other):
            kind, name, (data, cursor) = await peer.message()
            assert (kind, name, cursor) == (2, "server.draining", None)
            slots.append(data["reconnectAfter"])
            assert await leave(peer) == 1012
        await stopping
    assert all(type(slot) is int and 0 <= slot <= 5000 for slot in slots)
    assert slots[0] != slots[1]


async def test_commands_under_way_are_answered(gateway: Gateway) -> None:
    """The one that waits for the store, and those behind it; then comes the close frame."""
    key = await gateway.node.open_session()
    async with gateway.connected() as peer:
        gateway.node.store.hold_answers("restore")
        peer.send(
            frame(BINARY, command(1, "session.restore", key)),
            frame(BINARY, command(2, "session.list")),
            frame(BINARY, command(3, "session.logout")),
            frame(BINARY, command(4, "time.now")),
        )
        await gateway.node.store.until_done("restore")
        stopping = asyncio.create_task(stopped(gateway))
        assert (await peer.message())[1] == "server.draining"
        gateway.node.store.deliver_answers("restore")
        seen = [(await peer.message())[1] for _ in range(6)]
        assert seen == ["session.set", 1, 2, "session.unset", 3, 4]
        assert await leave(peer) == 1012
        await stopping


async def test_a_client_that_never_stops_sending_does_not_delay_the_stop() -> None:
    """While the node is draining, new data is left unread."""
    login = frame(BINARY, command(1, "session.login", "anonymous"))
    async with listening(Timings(close_s=0.1)) as gateway, gateway.connected() as peer:
        flood = [
            asyncio.create_task(ask_for_ever(peer, login * 1000)),
            asyncio.create_task(read_for_ever(peer)),
        ]
        await gateway.node.store.until_asked("create", 100)
        started = asyncio.get_running_loop().time()
        await stopped(gateway, drain_s=WAIT_S)
        assert asyncio.get_running_loop().time() - started < 1
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_a_command_that_never_ends_is_cancelled(gateway: Gateway) -> None:
    """At its deadline the drain goes on without it."""
    key = await gateway.node.open_session()
    async with gateway.connected() as peer:
        gateway.node.store.hold_answers("restore")
        peer.send(frame(BINARY, command(1, "session.restore", key)))
        await gateway.node.store.until_done("restore")
        stopping = asyncio.create_task(stopped(gateway, drain_s=0.05))
        assert (await peer.message())[1] == "server.draining"
        assert await leave(peer) == 1012
        await stopping


async def test_no_new_connection_is_accepted(gateway: Gateway) -> None:
    """The listening socket closes first."""
    async with gateway.connected() as peer:
        stopping = asyncio.create_task(stopped(gateway))
        await peer.message()
        with pytest.raises(OSError, match=r".*"):
            async with dialled(HOST, gateway.port):
                pass
        await leave(peer)
        await stopping


async def test_a_connection_in_the_handshake_is_dropped(gateway: Gateway) -> None:
    """It gets no close frame, and is not waited for."""
    async with gateway.dialled() as peer:
        peer.send(request()[:-2])
        await asyncio.sleep(0)
        started = asyncio.get_running_loop().time()
        await stopped(gateway)
        assert await peer.end() == b""
        assert asyncio.get_running_loop().time() - started < 0.5


async def test_a_client_that_does_not_answer_the_close_frame_is_dropped() -> None:
    """A client that hangs delays the stop by no more than `close_timeout_s`."""
    async with listening(Timings(close_s=0.1)) as gateway, gateway.connected() as peer:
        await stopped(gateway)
        assert await peer.close_frame() == (1012, "the node is restarting")
        assert await peer.end() == b""


async def ask_for_ever(peer: RawPeer, data: bytes) -> None:
    """Send commands as fast as they are taken."""
    while True:
        peer.send(data)
        await peer.writer.drain()
        await asyncio.sleep(0)


async def read_for_ever(peer: RawPeer) -> None:
    """Read whatever comes."""
    while await peer.reader.read(65_536):
        pass
