"""
Clients that are slower than what comes for them.
"""

import asyncio

from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row
from keystay_server.gateway.deadlines import Timings
from tests.support.server.gate import Gate
from tests.support.server.gateway import HOST, Door, listening
from tests.support.server.raw_peer import (
    BINARY,
    WAIT_S,
    command,
    dialled_narrowly,
    frame,
)

LOGIN = frame(BINARY, command(1, "session.login", "anonymous", {"actorId": "alice"}))


async def test_a_client_that_reads_late_gets_every_reply(door: Door) -> None:
    """Thousands of commands before it reads the first reply: none is lost, all are in order."""
    async with dialled_narrowly(HOST, door.port) as peer:
        await peer.shake_hands()
        number = 5000
        for id_ in range(number):
            peer.send(frame(BINARY, command(id_, "session.isValid", "x" * (id_ % 300))))
        assert [(await peer.message())[1] for _ in range(number)] == list(range(number))


async def test_a_client_that_reads_nothing_is_read_no_more() -> None:
    """Once its replies pile up, its commands stay with it: they are not carried out."""
    carried_out = 0

    async def count(_: object) -> bytes:
        nonlocal carried_out
        carried_out += 1
        return bytes(1000)

    commands = {**COMMANDS, "test.count": Row(count)}
    async with (
        listening(commands=commands) as door,
        dialled_narrowly(HOST, door.port) as peer,
        door.connected() as other,
    ):
        await peer.shake_hands()
        for id_ in range(1000):
            peer.send(frame(BINARY, command(id_, "test.count")))
        for _ in range(100):
            await other.call("time.now")
        assert carried_out < 500
        assert [(await peer.message())[1] for _ in range(1000)] == list(range(1000))


async def test_a_connection_with_enough_under_way_is_read_no_more() -> None:
    """Beyond `max_in_flight` commands stay in the network until one is answered."""
    gate = Gate()
    async with (
        listening(commands=gate.commands, max_in_flight=3) as door,
        door.connected() as peer,
        door.connected() as other,
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
    """More than the bound is waiting for it: it is told goodbye, and nobody else notices."""
    async with (
        listening(Timings(close_s=WAIT_S), max_outbox_bytes=100_000) as door,
        dialled_narrowly(HOST, door.port) as slow,
        door.connected() as quick,
    ):
        key = await door.node.open_session(meta={"x": "x" * 4000})
        await quick.call("session.restore", key)
        await slow.shake_hands()
        slow.send(frame(BINARY, command(1, "session.restore", key)))
        await door.node.store.until_asked("restore", 2)
        for _ in range(1500):  # More than any system would take for it.
            last = (await door.node.change(key, "x" * 4000)).cursor
            while (await quick.message())[2][1] != last:
                pass
        assert await slow.goodbye() == (4001, "too slow")


async def test_a_client_too_slow_in_time_is_4001() -> None:
    """Less is waiting, but for too long; it comes back with its cursor."""
    async with (
        listening(Timings(slow_s=0.1, close_s=WAIT_S)) as door,
        dialled_narrowly(HOST, door.port) as slow,
    ):
        await slow.shake_hands()
        await slow.ask_for_4_kib(60)
        await asyncio.sleep(0.3)  # The time it lets pass is what the test is about.
        assert (await slow.goodbye())[0] == 4001


async def test_a_slow_client_that_does_not_even_take_its_goodbye_is_dropped() -> None:
    """It has as long as a goodbye may take, and then everything about it is gone."""
    async with (
        listening(Timings(slow_s=0.1, close_s=0.1)) as door,
        dialled_narrowly(HOST, door.port) as slow,
    ):
        await slow.shake_hands()
        slow.send(LOGIN)
        await door.node.store.until_asked("create", 1)
        await slow.ask_for_4_kib(60)
        await door.node.until_unbound()


async def test_a_client_that_is_slow_and_reads_on_is_kept() -> None:
    """It takes something all the time: that is slow, not too slow."""
    async with (
        listening(Timings(slow_s=0.2)) as door,
        dialled_narrowly(HOST, door.port) as slow,
    ):
        await slow.shake_hands()
        await slow.ask_for_4_kib(60)
        for id_ in range(60):
            assert (await slow.message())[1] == id_
            await asyncio.sleep(0.005)  # It takes its time.
