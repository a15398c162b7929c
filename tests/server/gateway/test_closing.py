"""
How a connection ends: by either side, in time, or because the peer is not there any more.
"""

import logging
import struct
from contextlib import AsyncExitStack

import pytest

from keystay_protocol.errors import LoggedOut
from keystay_server.gateway import listener
from keystay_server.gateway.deadlines import Timings
from tests.support.server.gateway import HOST, Door, listening
from tests.support.server.raw_peer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    command,
    dialled_narrowly,
    frame,
)

BRIEF = Timings(close_s=0.1)
NORMAL = frame(CLOSE, struct.pack("!H", 1000))


async def test_a_goodbye_is_answered(door: Door) -> None:
    """The client's own code comes back, and the server ends the connection."""
    async with door.connected() as peer:
        peer.send(frame(CLOSE, struct.pack("!H", 3456) + b"bye"))
        assert await peer.goodbye() == (3456, "bye")
        assert await peer.end() == b""


async def test_a_goodbye_without_a_code_is_answered_without_one(door: Door) -> None:
    """RFC 6455, 5.5.1."""
    async with door.connected() as peer:
        peer.send(frame(CLOSE))
        assert await peer.receive() == (CLOSE, b"")
        assert await peer.end() == b""


async def test_commands_before_a_goodbye_are_answered(door: Door) -> None:
    """And nothing that comes after it is looked at."""
    async with door.connected() as peer:
        peer.send(frame(BINARY, command(1, "time.now")), NORMAL, frame(TEXT, b"x"))
        assert (await peer.message())[1] == 1
        assert (await peer.goodbye())[0] == 1000


async def test_a_logout_and_a_goodbye_may_be_sent_at_once(door: Door) -> None:
    """A client that logs out and leaves, without waiting for anything, is logged out."""
    async with door.connected() as peer:
        _, result = await peer.call("session.login", "anonymous", {"actorId": "alice"})
        door.node.store.hold_answers("end")
        peer.send(frame(BINARY, command(2, "session.logout"), fin=False))
        peer.send(frame(CONT), NORMAL)
        await peer.goodbye()
        peer.writer.close()
        await door.node.store.until_done("end")
        door.node.store.deliver_answers("end")
    with pytest.raises(LoggedOut):
        await door.node.sessions.check(result["session"]["key"])


async def test_nothing_behind_a_broken_frame_is_carried_out(door: Door) -> None:
    """Also if the client says goodbye in the same segment."""
    login = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))
    for broken in (frame(TEXT), frame(BINARY, b"\xc1"), frame(PING, rsv=1)):
        async with door.connected() as peer:
            peer.send(broken, login, NORMAL)
            await peer.end()
    assert await door.node.sessions.page("alice", 1) == []


async def test_a_goodbye_of_the_server_is_over_when_the_client_answers(door: Door) -> None:
    """Close frame, close frame, end."""
    async with door.connected() as peer:
        peer.send(frame(BINARY, b"\xc1"))
        assert (await peer.goodbye())[0] == 4500
        peer.send(frame(CLOSE, struct.pack("!H", 4500)))
        assert await peer.end() == b""


@pytest.mark.parametrize("data", [frame(TEXT), frame(BINARY, b"\xc1"), b"\xff\xff"])
async def test_a_goodbye_that_is_not_answered_is_over_in_time(data: bytes) -> None:
    """A peer that stays on the line, talking or not, is dropped at the deadline."""
    async with listening(BRIEF) as door, door.connected() as peer:
        peer.send(data, frame(BINARY, command(1, "time.now")), frame(PING))
        await peer.goodbye()
        await peer.end()


async def test_what_comes_after_the_goodbye_is_not_carried_out(door: Door) -> None:
    """In the same segment or later: the connection is closing."""
    async with door.connected() as peer:
        login = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))
        peer.send(frame(TEXT), login)
        await peer.goodbye()
        peer.send(login)
        peer.send(frame(CLOSE, struct.pack("!H", 1003)))
        assert await peer.end() == b""
        assert await door.node.sessions.page("alice", 1) == []


@pytest.mark.parametrize("how", ["half-closed", "reset", "goodbye"])
async def test_a_client_that_left_is_forgotten(door: Door, how: str) -> None:
    """However it leaves: its binding is given up, and its session lives on."""
    async with door.connected() as peer:
        _, result = await peer.call("session.login", "anonymous", {"actorId": "alice"})
        assert set(door.node.hub.actors) == {"alice"}
        if how == "half-closed":
            peer.writer.write_eof()
        elif how == "reset":
            peer.writer.transport.abort()
        else:
            peer.send(NORMAL)
            await peer.end()
            peer.writer.close()
        await door.node.until_unbound()
    await door.node.sessions.check(result["session"]["key"])


async def test_a_client_that_left_hears_nothing_and_breaks_nothing(door: Door) -> None:
    """Events to connections that break right now reach everybody else."""
    async with door.connected() as stays:
        _, result = await stays.call("session.login", "anonymous", {"actorId": "alice"})
        key = result["session"]["key"]
        for _ in range(20):
            async with door.connected() as leaves:
                await leaves.call("session.restore", key)
                leaves.writer.transport.abort()
                cursor = (await door.node.change(key)).cursor
                while (await stays.message())[2][1] != cursor:
                    pass


async def test_no_session_in_time_is_4000() -> None:
    """However busy the client is with other things."""
    async with listening(Timings(session_s=0.15)) as door, door.connected() as peer:
        assert (await peer.call("session.isValid", "alice:kst_" + "A" * 43))[0] == "noSession"
        assert (await peer.goodbye())[0] == 4000


async def test_a_session_once_is_enough() -> None:
    """Who was bound in time may log out and stay."""
    async with listening(Timings(session_s=0.15)) as door, door.connected() as peer:
        await peer.call("session.login", "anonymous")
        await peer.call("session.logout")
        async with door.connected() as other:
            assert (await other.goodbye())[0] == 4000
        assert (await peer.call("time.now"))[0] is None


async def test_a_silent_client_is_pinged_and_dropped() -> None:
    """One ping, and the end if nothing at all comes back."""
    timings = Timings(ping_interval_s=0.1, ping_timeout_s=0.1)
    async with listening(timings) as door, door.connected() as peer:
        assert await peer.receive() == (PING, b"")
        assert await peer.end() == b""


async def test_a_client_that_answers_pings_stays() -> None:
    """Idle for many intervals, it is still served."""
    timings = Timings(ping_interval_s=0.03, ping_timeout_s=0.1)
    async with listening(timings) as door, door.connected() as peer:
        for _ in range(5):
            assert await peer.receive() == (PING, b"")
            peer.send(frame(PONG))
        peer.send(frame(BINARY, command(1, "time.now")))
        while (received := await peer.receive())[0] == PING:
            peer.send(frame(PONG))
        assert received[0] == BINARY


async def test_a_half_closed_client_with_data_on_the_way_is_dropped_in_time() -> None:
    """It ends its side, takes nothing, and stays: no watch over others suffers from it."""
    timings = Timings(close_s=0.2, ping_interval_s=0.1, ping_timeout_s=0.1)
    async with listening(timings) as door, AsyncExitStack() as stack:
        # Somewhere among these the system takes nearly all of it, and the rest waits in
        # the server: too little to hold back what the client says, which is that it ends.
        for number in range(8, 60, 4):
            peer = await stack.enter_async_context(dialled_narrowly(HOST, door.port))
            assert (await peer.shake_hands()).status == 101
            await peer.ask_for_4_kib(number)
            peer.writer.write_eof()
        async with door.connected() as silent:
            assert await silent.receive() == (PING, b"")
            assert await silent.end() == b""


async def test_a_connection_lost_while_others_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections come and go between two looks at a part of them: the looks go on."""
    monkeypatch.setattr(listener, "CHECK_AT_ONCE", 1)
    timings = Timings(session_s=0.05, ping_interval_s=0.05, ping_timeout_s=0.05)
    async with listening(timings) as door:
        for _ in range(5):
            async with door.connected(), door.connected(), door.connected() as peer:
                peer.writer.transport.abort()
        async with door.connected() as peer:
            assert (await peer.goodbye())[0] == 4000


async def test_one_line_for_the_opening_and_one_for_the_end(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address and the close code; nothing in between, and nothing about keys."""
    caplog.set_level(logging.DEBUG, "keystay")
    async with door.connected() as peer:
        _, result = await peer.call("session.login", "anonymous")
        await peer.call("session.restore", result["session"]["key"])
        peer.send(NORMAL)
        await peer.end()
        peer.writer.close()
        await door.node.until_unbound()
    lines = [record for record in caplog.records if record.name == "keystay.websocket"]
    assert [record.message for record in lines] == ["connection opened", "connection closed"]
    assert (vars(lines[1])["address"], vars(lines[1])["code"]) == (HOST, 1000)
    assert "kst_" not in caplog.text
