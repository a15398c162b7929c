"""
Many sessions whose deadlines come at once, on two nodes that share the work.
"""

import asyncio

from keystay_protocol.session import split_key
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.retention import Retention
from tests.support.end_to_end.peers import log_in, many_connected, restore
from tests.support.server.raw_peer import BINARY, RawPeer, command, frame
from tests.support.server_process import serving
from tests.support.stores.installation import Heard
from tests.support.valkey import Valkey

SESSIONS, AT_ONCE = 300, 50
FLAGS = ("--ttl-s", "1.5", "--activity", "none", "--log-level", "warning")


async def test_each_session_ends_once_and_each_connection_is_told_once(valkey: Valkey) -> None:
    """Sessions that are held on both nodes expire together; nobody ends one a second time."""
    async with (
        serving("--store", valkey.url(), *FLAGS) as first,
        serving("--store", valkey.url(), *FLAGS) as second,
        many_connected(first, SESSIONS) as here,
        many_connected(second, SESSIONS) as there,
        asyncio.timeout(60),
    ):
        held: list[tuple[str, int]] = []
        for start in range(0, SESSIONS, AT_ONCE):
            some = slice(start, start + AT_ONCE)
            held += await asyncio.gather(*map(_hold, here[some], there[some]))
        told = await asyncio.gather(*map(_until_expired, here))
        told_there = await asyncio.gather(*map(_until_expired, there))

    store = RedisStore.from_url(valkey.url(), Retention())
    await store.start(Heard())
    for (key, since), heard, heard_there in zip(held, told, told_there, strict=True):
        history = (await store.history(split_key(key)[0], 0)).events
        opened, ended = [event.cursor for event in history]
        assert opened == since
        # The opening was told before the reply to the login, and the restore only to the other.
        assert heard == [("session.unset", ended)]
        assert heard_there == [("session.unset", ended)]
    await store.stop()


async def _hold(one: RawPeer, other: RawPeer) -> tuple[str, int]:
    """Open a session and hold it on both; return its key, and the position of the restore."""
    key = await log_in(one)
    return key, await restore(other, key)


async def _until_expired(peer: RawPeer) -> list[tuple[str, int]]:
    """Name and cursor of each event up to the end of the session, which nothing follows."""
    events: list[tuple[str, int]] = []
    while not events or events[-1][0] != "session.unset":
        [_, name, [data, cursor]] = await peer.message()
        assert name == "session.set" or data["reason"] == "expired"
        events.append((name, cursor))
    # A second telling would have to come before this reply.
    peer.send(frame(BINARY, command(9, "time.now")))
    assert (await peer.message())[:2] == [1, 9]
    return events
