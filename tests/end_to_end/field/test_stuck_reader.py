"""
One client that stops to read, among a thousand that go on.
"""

import asyncio
import resource
import struct
from collections.abc import Iterator

import msgpack
import pytest

import keystay
from tests.support.backend import change
from tests.support.end_to_end.peers import address_of, log_in, many_connected, restore
from tests.support.server.raw_peer import CLOSE, RawPeer, dialled_narrowly
from tests.support.server_process import ServerProcess, serving

FELLOWS, STRANGERS = 9, 990
"""Connections of the stuck one's session beside it, and of other sessions."""
BIG = {"x": "x" * 4000}
ROUNDS, CHANGES = 110, 10
"""In all, more events than any system would take for the stuck one, and some to lose."""
FLAGS = (
    *("--max-outbox-bytes", "65536", "--slow-timeout-s", "0", "--close-timeout-s", "60"),
    *("--log-level", "warning"),
)


@pytest.fixture(autouse=True)
def _enough_sockets() -> Iterator[None]:
    """For this process, and for the server, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FELLOWS + STRANGERS + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
async def test_nobody_waits_for_a_stuck_reader() -> None:
    """
    While one of a thousand connections reads nothing, all others are told everything; the
    next thing happens only after that. The stuck one finds how it began, and then 4001.
    """
    async with (
        serving(*FLAGS) as server,
        many_connected(server, FELLOWS) as fellows,
        many_connected(server, STRANGERS) as strangers,
        dialled_narrowly(*address_of(server)) as stuck,
        asyncio.timeout(60),
    ):
        keys = await asyncio.gather(*map(log_in, strangers))
        key, id_ = await _open_big_session(server)
        await stuck.handshake()
        for peer in (stuck, *fellows):
            await restore(peer, key)

        cursors: list[int] = []
        for number in range(ROUNDS):
            await change(server.control, id_, CHANGES, **BIG)
            happened = [(await fellows[0].message())[2][1] for _ in range(CHANGES)]
            await _all_told(fellows[1:], happened)
            some = slice(number, None, ROUNDS)
            await asyncio.gather(*map(restore, strangers[some], keys[some]))
            cursors += happened

        received, close = await _what_is_left(stuck)
        assert received == cursors[: len(received)]
        assert close == (4001, "too slow")
        assert len(received) < len(cursors)
        for peer in (*fellows, *strangers):
            assert (await peer.call("time.now"))[0] is None


async def _open_big_session(server: ServerProcess) -> tuple[str, str]:
    """Its key and id."""
    async with keystay.Control(server.control, "test-api-key") as control:
        session = await control.create_session("alice", meta=BIG)
    return str(session.key), session.id


async def _all_told(peers: list[RawPeer], cursors: list[int]) -> None:
    """Each peer gets these events next, and in this order."""
    for peer in peers:
        assert [(await peer.message())[2][1] for _ in cursors] == cursors


async def _what_is_left(peer: RawPeer) -> tuple[list[int], tuple[int, str]]:
    """Read on to the end: the cursors of the events, and the close frame."""
    cursors: list[int] = []
    while True:
        opcode, payload = await peer.receive()
        if opcode == CLOSE:
            (code,) = struct.unpack("!H", payload[:2])
            return cursors, (code, payload[2:].decode())
        cursors.append(msgpack.unpackb(payload)[2][1])
