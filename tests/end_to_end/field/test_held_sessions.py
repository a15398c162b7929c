"""
A session that is bound on a live node does not end because it could not be extended.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.support.asking import until
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey

TTL_S = 2.0
AWAY_S = 3.0
"""Longer than the ttl, and than the absence after which a store gives nodes time."""
GRACE_S = 3.0


@asynccontextmanager
async def stopped(server: ServerProcess) -> AsyncIterator[None]:
    """The process is stopped for a while, as a suspended host is."""
    server.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(AWAY_S)
    server.process.send_signal(signal.SIGCONT)
    yield


@asynccontextmanager
async def outage(valkey: Valkey, kind: str, folder: Path) -> AsyncIterator[None]:
    """The store takes no writes for a while."""
    async with Redis(port=valkey.port) as admin:
        match kind:
            case "silent":
                valkey.pause()
            case "gone":
                valkey.kill()
            case "replica":
                await admin.replicaof("127.0.0.1", "1")
            case "cannot save":
                (folder / "dump.rdb" / "in the way").mkdir(parents=True)
                await admin.config_set("save", "3600 1")
                await admin.bgsave()
                await until(lambda: is_refusing(admin))
        await asyncio.sleep(AWAY_S)
        match kind:
            case "silent":
                valkey.resume()
            case "gone":
                valkey.start()
            case "replica":
                await admin.replicaof("NO", "ONE")
            case "cannot save":
                await admin.config_set("save", "")
    yield


async def is_refusing(admin: "Redis") -> bool:
    """Whether the server refuses writes."""
    try:
        await admin.set("test", "")
    except ResponseError:
        return True
    return False


def is_unknown(answer: tuple[str | None, object]) -> bool:
    """Whether the store has no tombstone of the session any more."""
    return answer[0] == "noSession"


async def assert_lives(client: RawClient, key: str) -> None:
    """The session goes on, for longer than another ttl, and its holder was sent nothing."""
    events = len(client.events())
    loop = asyncio.get_running_loop()
    until_s = loop.time() + TTL_S + GRACE_S + 1
    while loop.time() < until_s:
        error, _ = await client.call("session.isValid", key)
        assert error in (None, "unavailable")
        await asyncio.sleep(0.2)
    assert error is None
    assert (await client.call("session.list"))[0] is None
    assert len(client.events()) == events


async def test_a_node_that_was_stopped_keeps_what_it_holds(store_url: str) -> None:
    """A process that was stopped for longer than the ttl extends before anything is ended."""
    async with (
        serving("--store", store_url, "--ttl-s", str(TTL_S)) as server,
        connected(server.url) as holder,
    ):
        key = await holder.login("alice")
        async with stopped(server):
            await assert_lives(holder, key)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["silent", "gone", "replica", "cannot save"])
async def test_an_outage_of_the_store_ends_nothing_that_is_held(
    valkey: Valkey, kind: str, tmp_path: Path
) -> None:
    """
    Two nodes over a store that took no writes for longer than the ttl.

    Whichever node is back first gives the other one time to extend. What nobody
    held expires after that.
    """
    flags = ("--store", valkey.url(), "--ttl-s", str(TTL_S))
    async with (
        serving(*flags) as one,
        serving(*flags) as other,
        connected(one.url) as alice,
        connected(other.url) as bob,
        connected(other.url) as carol,
    ):
        keys = [await alice.login("alice"), await bob.login("bob")]
        left = await carol.login("carol")
        await carol.login("dave")
        async with outage(valkey, kind, tmp_path):
            await asyncio.gather(
                assert_lives(alice, keys[0]),
                assert_lives(bob, keys[1]),
            )
        assert (await alice.call("session.isValid", left))[0] == "expired"


@pytest.mark.long
async def test_beside_a_live_node_a_stopped_one_counts_as_dead(valkey: Valkey) -> None:
    """Its sessions end, and it notifies its clients when it is back, without a tombstone."""
    flags = ("--store", valkey.url(), "--ttl-s", str(TTL_S), "--tombstone-s", "1")
    async with (
        serving(*flags) as silent,
        serving(*flags) as live,
        connected(silent.url) as holder,
        connected(live.url) as witness,
    ):
        key = await holder.login("alice")
        silent.process.send_signal(signal.SIGSTOP)
        error, _ = await until(
            lambda: witness.call("session.isValid", key), lambda answer: answer[0]
        )
        assert error == "expired"
        # However late the node goes on: the tombstone is forgotten.
        await until(lambda: witness.call("session.isValid", key), is_unknown)
        silent.process.send_signal(signal.SIGCONT)
        while holder.events()[-1][0] != "session.unset":
            await holder.receive()
        assert holder.events()[-1][1]["reason"] == "expired"


@pytest.mark.long
async def test_a_silent_store_does_not_hide_that_a_session_ended(valkey: Valkey) -> None:
    """Sessions that nothing extends end after the outage, and their holders are notified."""
    flags = ("--ttl-s", str(TTL_S), "--tombstone-s", "1", "--activity", "none")
    async with (
        serving("--store", valkey.url(), *flags) as server,
        connected(server.url) as holder,
    ):
        await holder.login("alice")
        valkey.pause()
        await asyncio.sleep(5)  # By now the node has given the connection up.
        valkey.resume()
        while holder.events()[-1][0] != "session.unset":
            await holder.receive()
        assert holder.events()[-1][1]["reason"] == "expired"
