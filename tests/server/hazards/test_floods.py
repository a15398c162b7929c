"""
Peers that send what they like, as fast as they can, and read nothing.

Whatever it is: the server's memory stays where it was, and others are served.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.server.flood import bystander, pour, raw, replies, until_dropped
from tests.support.server.raw_peer import BINARY, CONT, PING, TEXT, command, frame, request
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.long

QUICK = ("--slow-timeout-s", "0.2", "--close-timeout-s", "0.2")


@pytest.fixture
async def server() -> AsyncIterator[ServerProcess]:
    """A server that loses its patience quickly."""
    async with serving(*QUICK) as server:
        yield server


async def test_peers_that_never_read(server: ServerProcess) -> None:
    """A million pings, five million commands, and some with large replies: all are dropped."""
    pings = frame(PING, bytes(125)) * 10_000
    commands = frame(BINARY, command(1, "session.list")) * 100_000
    paths = [f"{number:0>127}" for number in range(63)]
    with_large_replies = frame(BINARY, command(1, "events.subscribe", [])) * 100_000
    async with bystander(server), raw(server) as one, raw(server) as two, raw(server) as three:
        three.send(frame(BINARY, command(0, "events.subscribe", paths)))
        await asyncio.gather(
            pour(one, pings, times=100),
            pour(two, commands, times=50),
            pour(three, with_large_replies),
        )
        await asyncio.gather(*(until_dropped(peer) for peer in (one, two, three)))


async def test_pings_of_a_peer_that_was_told_goodbye(server: ServerProcess) -> None:
    """After the server's close frame too: nobody is owed an answer who reads none."""
    async with bystander(server), raw(server) as peer:
        peer.send(frame(TEXT))
        await pour(peer, frame(PING, bytes(125)) * 10_000, times=100)
        await until_dropped(peer)


async def test_5_million_empty_continuation_frames(server: ServerProcess) -> None:
    """A message that never ends, made of nothing: closed at 4096 pieces."""
    fragments = frame(CONT, b"", fin=False) * 1_000_000
    async with bystander(server):
        for _ in range(5):
            async with raw(server) as peer:
                peer.send(frame(BINARY, b"", fin=False))
                await pour(peer, fragments)
                assert (await peer.close_frame())[0] == 1009


@pytest.mark.parametrize(
    "value",
    [[{}] * 65_000, {"a": [[[[[[[[{}]]]]]]]] * 7000}],
    ids=["empty maps", "nested arrays"],
)
async def test_messages_that_unfold(server: ServerProcess, value: object) -> None:
    """64 KiB that become megabytes of objects: for a moment, and one at a time."""
    login = frame(BINARY, command(1, "session.login", "anonymous", value))
    async with bystander(server), AsyncExitStack() as stack:
        for peer in [await stack.enter_async_context(raw(server)) for _ in range(4)]:
            await pour(peer, login * 10)
            await replies(peer, 10)


async def test_messages_that_unfold_behind_one_that_waits(server: ServerProcess) -> None:
    """Commands in the queue of a connection are kept as they came."""
    logins = frame(BINARY, command(1, "session.login", "anonymous")) * 8
    unfolding = frame(BINARY, command(2, "events.subscribe", [{}] * 65_000))
    async with bystander(server), raw(server) as peer:
        await pour(peer, (logins + unfolding * 20) * 3)
        await replies(peer, 3 * (8 + 20))


async def test_announced_and_never_sent(server: ServerProcess) -> None:
    """Headers that promise 64 KiB, on a hundred connections: nothing is reserved for them."""
    promise = frame(BINARY, bytes(65_536))[:14]
    async with bystander(server), AsyncExitStack() as stack:
        for _ in range(100):
            (await stack.enter_async_context(raw(server))).send(promise)


async def test_wrong_keys(server: ServerProcess) -> None:
    """Thousands of keys that open nothing, for actors there are and there are not."""
    commands = [
        frame(BINARY, command(number, method, f"{actor}:kst_{number:0>43}"))
        for number in range(4000)
        for method in ("session.isValid", "session.restore")
        for actor in ("bystander", f"stranger-{number}")
    ]
    async with bystander(server), raw(server) as peer:
        for start in range(0, len(commands), 1000):
            some = commands[start : start + 1000]
            peer.send(*some)
            for _ in some:
                assert (await peer.message())[2] == "noSession"


async def test_handshakes_that_drip() -> None:
    """Hundreds of requests that never end: each is given up, and nothing of them stays."""
    async with (
        serving(*QUICK, "--handshake-timeout-s", "0.5") as server,
        bystander(server),
        AsyncExitStack() as stack,
    ):
        peers = [
            await stack.enter_async_context(raw(server, with_handshake=False))
            for _ in range(300)
        ]
        for peer in peers:
            peer.send(request(Cookie="x" * 4000)[:-2])
        await asyncio.gather(*(peer.end() for peer in peers))


async def test_heads_without_end(server: ServerProcess) -> None:
    """Header fields for ever, on a hundred connections: refused at 16 KiB, and none is kept."""
    head = request()[:-2] + (b"X-Field: " + b"x" * 8000 + b"\r\n") * 100
    async with bystander(server), AsyncExitStack() as stack:
        for _ in range(100):
            peer = await stack.enter_async_context(raw(server, with_handshake=False))
            assert (await peer.handshake(head)).status == 431


async def test_peers_that_are_not_there_any_more() -> None:
    """Hundreds of connections that say nothing, not even that they are gone, are dropped."""
    flags = ("--ping-interval-s", "0.3", "--ping-timeout-s", "0.3")
    async with (
        serving(*QUICK, *flags) as server,
        bystander(server),
        AsyncExitStack() as stack,
    ):
        peers = [await stack.enter_async_context(raw(server)) for _ in range(300)]
        await asyncio.gather(*(peer.end() for peer in peers))


async def test_connections_that_come_and_go(server: ServerProcess) -> None:
    """Hundreds of logins on connections that break: what stays is their sessions."""
    login = frame(BINARY, command(1, "session.login", "anonymous"))
    async with bystander(server):
        for _ in range(10):
            async with AsyncExitStack() as stack:
                for _ in range(50):
                    peer = await stack.enter_async_context(raw(server))
                    peer.send(login)
                    await peer.message()
