"""
A store whose server is the one that sentinels call the master.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as ConnectionLost

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.sentinel import Sentinels
from tests.support.stores.installation import new_session, opened
from tests.support.stores.redis_node import node, until_announced_or_missed, until_served
from tests.support.stores.sentinels import Watched, call, saying, sentinel_of, watched
from tests.support.valkey import free_port, replicate


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Watched]:
    """A master, its replica, and a sentinel that knows both."""
    with watched(tmp_path) as servers:
        yield servers


async def test_a_master_that_dies_is_replaced(trio: Watched) -> None:
    """After a failover the store is on the new master, and what was replicated is there."""
    master = trio.servers[0]
    nobody = f"127.0.0.1:{free_port()}"
    async with node(f"{trio.url(nobody)}/2?prefix=s") as (store, heard):
        heard.actors.add("alice")
        new = new_session("alice")
        event = await opened(store, new)
        assert await heard.event() == event
        replicate(master)
        master.kill()
        with pytest.raises(Unavailable):
            await opened(store, new_session("alice"))
        event = await until_served(store)
        assert (await store.check("alice", new.digest)).id == new.id
        await until_announced_or_missed(heard, event)


async def test_a_master_that_is_demoted_is_left(trio: Watched) -> None:
    """A server that has become a replica is left for the new master, and events go on."""
    master, replica = trio.servers
    async with node(trio.url()) as (store, heard):
        heard.actors.add("alice")
        new = new_session("alice")
        await opened(store, new)
        replicate(master)
        # The node reads meanwhile what the sentinel announces.
        await asyncio.to_thread(trio.fail_over)
        event = await until_served(store)
        root = Partitions("ks", 64).root_of("alice")
        assert call(replica, "EXISTS", f"{root}:session:{new.digest.hex()}") == 1
        assert (await store.check("alice", new.digest)).id == new.id
        await until_announced_or_missed(heard, event)


@pytest.mark.parametrize("named", ["a dead port", "a replica", "nobody, in silence"])
async def test_a_first_sentinel_that_is_wrong(
    trio: Watched, tmp_path: Path, named: str
) -> None:
    """The next one is asked, and the one that knows the newest master is believed."""
    port = free_port() if named == "a dead port" else trio.servers[1].port
    wrong = sentinel_of(tmp_path / "wrong", port)
    try:
        wrong.start()
        if named == "nobody, in silence":
            wrong.pause()
        async with node(trio.url(f"127.0.0.1:{wrong.port}")) as (store, heard):
            heard.actors.add("alice")
            await until_announced_or_missed(heard, await until_served(store))
    finally:
        wrong.kill()


@pytest.mark.parametrize(
    ("state", "is_taken"),
    [("select_slave", True), ("wait_promotion", False), ("reconf_slaves", True)],
)
async def test_a_node_that_starts_during_a_failover(
    trio: Watched, state: str, is_taken: bool
) -> None:
    """It takes no master while a sentinel promotes a replica, whatever the others name."""
    fields = ["flags", "master,failover_in_progress", "ip", "127.0.0.1", "port", "1"]
    fields += ["config-epoch", "0", "failover-state", state]
    async with saying(fields) as first:
        sentinels = Sentinels(Location.parse(trio.url(first), 1.0))
        if is_taken:
            wire, _ = await sentinels.connect()
            await wire.disconnect()
        else:
            with pytest.raises(ConnectionLost):
                await sentinels.connect()


async def test_sentinels_that_know_no_master(caplog: pytest.LogCaptureFixture) -> None:
    """A store waits for a master that no sentinel tells it of, and says so."""
    async with node(f"redis+sentinel://127.0.0.1:{free_port()}/keystay") as (store, _):
        with pytest.raises(Unavailable):
            await opened(store, new_session())
    assert "no sentinel knows a master called keystay" in caplog.text
