"""
Clients that read slower than the server sends.
"""

import asyncio

from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row
from keystay_server.gateway.deadlines import Timings
from tests.support.server.gate import Gate
from tests.support.server.gateway import HOST, Gateway, listening
from tests.support.server.raw_peer import (
    BINARY,
    WAIT_S,
    command,
    dialled_narrowly,
    frame,
)

LOGIN = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))


async def test_a_client_that_reads_late_gets_every_reply(gateway: Gateway) -> None:
    """Thousands of commands before it reads the first reply: none is lost, all in order."""
    async with dialled_narrowly(HOST, gateway.port) as peer:
        await peer.handshake()
        number = 5000
        for id_ in range(number):
            peer.send(frame(BINARY, command(id_, "session.isValid", "x" * (id_ % 300))))
        assert [(await peer.message())[1] for _ in range(number)] == list(range(number))


async def test_nothing_is_read_from_a_client_that_reads_nothing() -> None:
    """Once its replies pile up, its commands stay in the network and are not run."""
    carried_out = 0

    async def count(_: object) -> bytes:
        nonlocal carried_out
        carried_out += 1
        return bytes(1000)

    commands = {**COMMANDS, "test.count": Row(count)}
    async with (
        listening(commands=commands) as gateway,
        dialled_narrowly(HOST, gateway.port) as peer,
        gateway.connected() as other,
    ):
        await peer.handshake()
        for id_ in range(1000):
            peer.send(frame(BINARY, command(id_, "test.count")))
        for _ in range(100):
            await other.call("time.now")
        assert carried_out < 500
        assert [(await peer.message())[1] for _ in range(1000)] == list(range(1000))


async def test_nothing_is_read_beyond_max_in_flight() -> None:
    """Further commands stay in the network until one is answered."""
    gate = Gate()
    async with (
        listening(commands=gate.commands, max_in_flight=3) as gateway,
        gateway.connected() as peer,
        gateway.connected() as other,
    ):
        padding = "x" * 1000
        peer.send(*(frame(BINARY, command(id_, "test.wait", padding)) for id_ in range(100)))
        for id_ in range(100):
            async with asyncio.timeout(WAIT_S):
                while not gate.waiting:
                    await other.call("time.now")
            gate.open()
            assert (await peer.message())[1] == id_


async def test_a_client_too_slow_in_bytes_is_4001() -> None:
    """More than the bound waits for it: it is closed, and no other client is affected."""
    async with (
        listening(Timings(close_s=WAIT_S), max_outbox_bytes=100_000) as gateway,
        dialled_narrowly(HOST, gateway.port) as slow,
        gateway.connected() as quick,
    ):
        key = await gateway.node.open_session(meta={"x": "x" * 4000})
        await quick.call("session.restore", key)
        await slow.handshake()
        slow.send(frame(BINARY, command(1, "session.restore", key)))
        await gateway.node.store.until_asked("restore", 2)
        for _ in range(1500):  # More than any system buffers.
            last = (await gateway.node.change(key, "x" * 4000)).cursor
            while (await quick.message())[2][1] != last:
                pass
        assert await slow.close_frame() == (4001, "too slow")


async def test_a_client_too_slow_in_time_is_4001() -> None:
    """Less waits for it, but for too long."""
    async with (
        listening(Timings(slow_s=0.1, close_s=WAIT_S)) as gateway,
        dialled_narrowly(HOST, gateway.port) as slow,
    ):
        await slow.handshake()
        await slow.ask_for_4_kib(60)
        await asyncio.sleep(0.3)  # The time it lets pass is what the test is about.
        assert (await slow.close_frame())[0] == 4001


async def test_a_slow_client_that_does_not_read_its_close_frame_is_dropped() -> None:
    """After `close_timeout_s`; then its binding is gone too."""
    async with (
        listening(Timings(slow_s=0.1, close_s=0.1)) as gateway,
        dialled_narrowly(HOST, gateway.port) as slow,
    ):
        await slow.handshake()
        slow.send(LOGIN)
        await gateway.node.store.until_asked("create", 1)
        await slow.ask_for_4_kib(60)
        await gateway.node.until_unbound()


async def test_a_slow_client_that_keeps_reading_stays_connected() -> None:
    """It reads something all the time: that is slow, not too slow."""
    async with (
        listening(Timings(slow_s=0.2)) as gateway,
        dialled_narrowly(HOST, gateway.port) as slow,
    ):
        await slow.handshake()
        await slow.ask_for_4_kib(60)
        for id_ in range(60):
            assert (await slow.message())[1] == id_
            await asyncio.sleep(0.005)  # It takes its time.
