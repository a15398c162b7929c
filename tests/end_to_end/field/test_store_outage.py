"""
The store goes away and comes back under a running server.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis

from tests.support.asking import AGAIN_S, until
from tests.support.raw_client import connected
from tests.support.server_process import serving
from tests.support.valkey import Valkey

OUTAGE_S = 5.0


def is_served(answer: tuple[str | None, Any]) -> bool:
    """Whether the store did what the command asked for."""
    return answer[0] != "unavailable"


async def test_the_server_outlives_an_outage_of_its_store(valkey: Valkey) -> None:
    """
    With the store stopped for 5 s, commands that need it answer `unavailable` with a time to
    wait, connections stay, and service comes back by itself, events included.
    """
    async with (
        serving("--store", valkey.url()) as server,
        connected(server.url) as one,
        connected(server.url) as other,
    ):
        key = await one.login("alice")
        await other.call("session.restore", key)
        valkey.kill()
        outage = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < outage + OUTAGE_S:
            error, details = await one.call("session.isValid", key)
            assert error == "unavailable"
            assert details["retryAfter"] > 0
            assert (await one.call("time.now"))[0] is None
            await asyncio.sleep(AGAIN_S)
        valkey.start()
        await until(lambda: one.call("session.isValid", key), is_served)
        # Still bound, and still told.
        assert (await one.call("session.logout"))[0] is None
        while other.events()[-1][0] != "session.unset":
            await other.receive()


async def test_a_server_starts_while_its_store_is_away(valkey: Valkey) -> None:
    """A node that starts during an outage says so, and serves once it is over."""
    valkey.kill()
    async with serving("--store", valkey.url()) as server, connected(server.url) as client:
        assert (await client.call("session.login", "anonymous"))[0] == "unavailable"
        valkey.start()
        await until(lambda: client.call("session.login", "anonymous"), is_served)


async def test_who_holds_a_session_that_the_store_lost_is_told(valkey: Valkey) -> None:
    """After a FLUSHALL the clients hear that their sessions are gone, though nobody asks."""
    async with (
        serving("--store", valkey.url()) as server,
        connected(server.url) as client,
        Redis(port=valkey.port) as admin,
    ):
        await client.login("alice")
        await admin.flushall()
        while (await client.event())[0] != "session.unset":
            pass
        assert (await client.call("session.list"))[0] == "noSession"
