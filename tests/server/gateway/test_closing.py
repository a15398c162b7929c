"""
How a connection ends: by either side, in time, or because the peer is gone.
"""

import logging
import struct
from contextlib import AsyncExitStack

import pytest

from keystay_protocol.errors import LoggedOut
from keystay_server.gateway import listener
from keystay_server.gateway.deadlines import Timings
from tests.support.server.gateway import HOST, Gateway, listening
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


async def test_a_close_frame_is_answered(gateway: Gateway) -> None:
    """The client's own code comes back, and the server ends the connection."""
    async with gateway.connected() as peer:
        peer.send(frame(CLOSE, struct.pack("!H", 3456) + b"bye"))
        assert await peer.close_frame() == (3456, "bye")
        assert await peer.end() == b""


async def test_a_close_frame_without_a_code_is_answered_without_one(gateway: Gateway) -> None:
    """RFC 6455, 5.5.1."""
    async with gateway.connected() as peer:
        peer.send(frame(CLOSE))
        assert await peer.receive() == (CLOSE, b"")
        assert await peer.end() == b""


async def test_commands_before_a_close_frame_are_answered(gateway: Gateway) -> None:
    """Nothing after it is read."""
    async with gateway.connected() as peer:
        peer.send(frame(BINARY, command(1, "time.now")), NORMAL, frame(TEXT, b"x"))
        assert (await peer.message())[1] == 1
        assert (await peer.close_frame())[0] == 1000


async def test_a_logout_and_a_close_frame_may_be_sent_at_once(gateway: Gateway) -> None:
    """A client that logs out and closes, without waiting for the reply, is logged out."""
    async with gateway.connected() as peer:
        _, result = await peer.call("session.login", "anonymous", {"actorId": "alice"})
        gateway.node.store.hold_answers("end")
        peer.send(frame(BINARY, command(2, "session.logout"), fin=False))
        peer.send(frame(CONT), NORMAL)
        await peer.close_frame()
        peer.writer.close()
        await gateway.node.store.until_done("end")
        gateway.node.store.deliver_answers("end")
    with pytest.raises(LoggedOut):
        await gateway.node.sessions.check(result["session"]["key"])


async def test_nothing_behind_a_broken_frame_is_run(gateway: Gateway) -> None:
    """Also if a close frame is in the same segment."""
    login = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))
    for broken in (frame(TEXT), frame(BINARY, b"\xc1"), frame(PING, rsv=1)):
        async with gateway.connected() as peer:
            peer.send(broken, login, NORMAL)
            await peer.end()
    assert await gateway.node.sessions.list_page("alice", 1) == []


async def test_the_server_ends_the_connection_when_its_close_frame_is_answered(
    gateway: Gateway,
) -> None:
    """Close frame, close frame, end."""
    async with gateway.connected() as peer:
        peer.send(frame(BINARY, b"\xc1"))
        assert (await peer.close_frame())[0] == 4500
        peer.send(frame(CLOSE, struct.pack("!H", 4500)))
        assert await peer.end() == b""


@pytest.mark.parametrize("data", [frame(TEXT), frame(BINARY, b"\xc1"), b"\xff\xff"])
async def test_a_close_frame_that_is_not_answered_has_a_deadline(data: bytes) -> None:
    """A peer that stays connected, sending or not, is dropped at the deadline."""
    async with listening(BRIEF) as gateway, gateway.connected() as peer:
        peer.send(data, frame(BINARY, command(1, "time.now")), frame(PING))
        await peer.close_frame()
        await peer.end()


async def test_what_comes_after_the_close_frame_is_not_run(gateway: Gateway) -> None:
    """In the same segment or later: the connection is closing."""
    async with gateway.connected() as peer:
        login = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))
        peer.send(frame(TEXT), login)
        await peer.close_frame()
        peer.send(login)
        peer.send(frame(CLOSE, struct.pack("!H", 1003)))
        assert await peer.end() == b""
        assert await gateway.node.sessions.list_page("alice", 1) == []


@pytest.mark.parametrize("how", ["half-closed", "reset", "close frame"])
async def test_a_client_that_left_is_forgotten(gateway: Gateway, how: str) -> None:
    """However it leaves: its binding is removed, and its session stays live."""
    async with gateway.connected() as peer:
        _, result = await peer.call("session.login", "anonymous", {"actorId": "alice"})
        assert set(gateway.node.hub.actors) == {"alice"}
        if how == "half-closed":
            peer.writer.write_eof()
        elif how == "reset":
            peer.writer.transport.abort()
        else:
            peer.send(NORMAL)
            await peer.end()
            peer.writer.close()
        await gateway.node.until_unbound()
    await gateway.node.sessions.check(result["session"]["key"])


async def test_a_connection_that_breaks_affects_no_other(gateway: Gateway) -> None:
    """While some connections break, events reach all others."""
    async with gateway.connected() as stays:
        _, result = await stays.call("session.login", "anonymous", {"actorId": "alice"})
        key = result["session"]["key"]
        for _ in range(20):
            async with gateway.connected() as leaves:
                await leaves.call("session.restore", key)
                leaves.writer.transport.abort()
                cursor = (await gateway.node.change(key)).cursor
                while (await stays.message())[2][1] != cursor:
                    pass


async def test_no_session_in_time_is_4000() -> None:
    """Whatever other commands the client sends."""
    async with listening(Timings(session_s=0.15)) as gateway, gateway.connected() as peer:
        assert (await peer.call("session.isValid", "alice:kst_" + "A" * 43))[0] == "noSession"
        assert (await peer.close_frame())[0] == 4000


async def test_a_session_once_is_enough() -> None:
    """A client that was bound in time may log out and stay connected."""
    async with listening(Timings(session_s=0.15)) as gateway, gateway.connected() as peer:
        await peer.call("session.login", "anonymous")
        await peer.call("session.logout")
        async with gateway.connected() as other:
            assert (await other.close_frame())[0] == 4000
        assert (await peer.call("time.now"))[0] is None


async def test_a_silent_client_is_pinged_and_dropped() -> None:
    """One ping; the connection ends if nothing comes back."""
    timings = Timings(ping_interval_s=0.1, ping_timeout_s=0.1)
    async with listening(timings) as gateway, gateway.connected() as peer:
        assert await peer.receive() == (PING, b"")
        assert await peer.end() == b""


async def test_a_client_that_answers_pings_stays() -> None:
    """Idle for many intervals, it is still served."""
    timings = Timings(ping_interval_s=0.03, ping_timeout_s=0.1)
    async with listening(timings) as gateway, gateway.connected() as peer:
        for _ in range(5):
            assert await peer.receive() == (PING, b"")
            peer.send(frame(PONG))
        peer.send(frame(BINARY, command(1, "time.now")))
        while (received := await peer.receive())[0] == PING:
            peer.send(frame(PONG))
        assert received[0] == BINARY


async def test_a_half_closed_client_with_data_on_the_way_is_dropped_in_time() -> None:
    """It ends its side, reads nothing, and stays: the checks of others go on."""
    timings = Timings(close_s=0.2, ping_interval_s=0.1, ping_timeout_s=0.1)
    async with listening(timings) as gateway, AsyncExitStack() as stack:
        # With some of these sizes the system buffers nearly all of it. The rest waits in the
        # server: too little to pause reading, so that the end of the stream is seen.
        for number in range(8, 60, 4):
            peer = await stack.enter_async_context(dialled_narrowly(HOST, gateway.port))
            assert (await peer.handshake()).status == 101
            await peer.ask_for_4_kib(number)
            peer.writer.write_eof()
        async with gateway.connected() as silent:
            assert await silent.receive() == (PING, b"")
            assert await silent.end() == b""


async def test_a_connection_lost_while_others_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections come and go between two checks of a part of them: the checks go on."""
    monkeypatch.setattr(listener, "CHECK_AT_ONCE", 1)
    timings = Timings(session_s=0.05, ping_interval_s=0.05, ping_timeout_s=0.05)
    async with listening(timings) as gateway:
        for _ in range(5):
            async with gateway.connected(), gateway.connected(), gateway.connected() as peer:
                peer.writer.transport.abort()
        async with gateway.connected() as peer:
            assert (await peer.close_frame())[0] == 4000


async def test_one_line_for_the_opening_and_one_for_the_end(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address and the close code; nothing in between, and nothing about keys."""
    caplog.set_level(logging.DEBUG, "keystay")
    async with gateway.connected() as peer:
        _, result = await peer.call("session.login", "anonymous")
        await peer.call("session.restore", result["session"]["key"])
        peer.send(NORMAL)
        await peer.end()
        peer.writer.close()
        await gateway.node.until_unbound()
    lines = [record for record in caplog.records if record.name == "keystay.websocket"]
    assert [record.message for record in lines] == ["connection opened", "connection closed"]
    assert (vars(lines[1])["address"], vars(lines[1])["code"]) == (HOST, 1000)
    assert "kst_" not in caplog.text
