"""
A store whose server is the one that sentinels call the master.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis.partitions import Partitions
from tests.support.stores.installation import new_session, opened
from tests.support.stores.redis_node import node, until_announced_or_missed, until_served
from tests.support.stores.valkey_cluster import until
from tests.support.valkey import Valkey, free_port, replicate

SENTINEL = """
sentinel monitor keystay 127.0.0.1 {port} 1
sentinel down-after-milliseconds keystay 400
sentinel failover-timeout keystay 2000
"""


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[tuple[Valkey, Valkey, Valkey]]:
    """A master, its replica, and a sentinel that knows both."""
    folders = [tmp_path / name for name in ("master", "replica", "sentinel")]
    for folder in folders:
        folder.mkdir()
    master = Valkey(folders[0], "--repl-diskless-sync-delay", "0")
    replica = Valkey(folders[1], "--replicaof", f"127.0.0.1 {master.port}")
    config = folders[2] / "sentinel.conf"
    config.write_text(SENTINEL.format(port=master.port))
    sentinel = Valkey(folders[2], sentinel=config)
    with ExitStack() as stack:
        for server in (master, replica, sentinel):
            stack.callback(server.kill)
            # A replica that is not in step when a sentinel first looks is passed over for long.
            if server is sentinel:
                replicate(master)
            server.start()
        until(lambda: len(call(sentinel, "SENTINEL", "REPLICAS", "keystay")) == 1)
        yield master, replica, sentinel


def fails_over(sentinel: Valkey) -> bool:
    """Have the replica promoted, if the sentinel finds it good enough by now."""
    with suppress(ResponseError):
        call(sentinel, "SENTINEL", "FAILOVER", "keystay")
        return True
    return False


def call(server: Valkey, *words: str | int) -> Any:
    """Send a server a command."""
    with Redis(port=server.port, protocol=2) as client:
        execute: Any = client.execute_command
        return execute(*words)


async def test_a_master_that_dies_is_replaced(trio: tuple[Valkey, Valkey, Valkey]) -> None:
    """After a failover the store is on the new master, and what was replicated is there."""
    master, _, sentinel = trio
    nobody = f"127.0.0.1:{free_port()}"
    url = f"redis+sentinel://{nobody},127.0.0.1:{sentinel.port}/keystay/2?prefix=s"
    async with node(url) as (store, heard):
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


async def test_a_master_that_is_demoted_is_left(trio: tuple[Valkey, Valkey, Valkey]) -> None:
    """A server that has become a replica is left for the new master, and events go on."""
    master, replica, sentinel = trio
    async with node(f"redis+sentinel://127.0.0.1:{sentinel.port}/keystay") as (store, heard):
        heard.actors.add("alice")
        new = new_session("alice")
        await opened(store, new)
        replicate(master)
        until(lambda: fails_over(sentinel))
        until(lambda: call(replica, "ROLE")[0] == b"master")
        # The sentinel takes ten seconds for this.
        call(master, "REPLICAOF", "127.0.0.1", replica.port)
        event = await until_served(store)
        root = Partitions("ks", 64).root_of("alice")
        assert call(replica, "EXISTS", f"{root}:session:{new.digest.hex()}") == 1
        assert (await store.check("alice", new.digest)).id == new.id
        await until_announced_or_missed(heard, event)


async def test_sentinels_that_know_no_master(caplog: pytest.LogCaptureFixture) -> None:
    """A store waits for a master that no sentinel tells it of, and says so."""
    async with node(f"redis+sentinel://127.0.0.1:{free_port()}/keystay") as (store, _):
        with pytest.raises(Unavailable):
            await opened(store, new_session())
    assert "no sentinel knows a master called keystay" in caplog.text
