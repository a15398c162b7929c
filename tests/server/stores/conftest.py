"""
Every store, ready for a test.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keystay_server.stores.base import Store
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.clock import unix_ms
from tests.support.stores.installation import Heard, Installation
from tests.support.stores.valkey_cluster import ValkeyCluster, running_cluster
from tests.support.valkey import Valkey, running_valkey

REDIS_GRACE_MS = 3_000


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The server that tests share; each has a prefix of its own."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """The cluster that tests share."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server for a test that does things to it."""
    with running_valkey(tmp_path) as server:
        yield server


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster for a test that does things to it."""
    with running_cluster(tmp_path) as nodes:
        yield nodes


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def retention() -> Retention:
    """How long stores remember, unless a test says otherwise."""
    return Retention()


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
async def installation(
    request: pytest.FixtureRequest, tmp_path: Path, prefix: str, retention: Retention
) -> AsyncIterator[Installation]:
    """A started store of each kind; those in Redis have two nodes."""
    match request.param:
        case "memory":
            made = embedded(":memory:", retention)
        case "sqlite":
            made = embedded(str(tmp_path / "keystay.db"), retention)
        case "redis":
            made = shared(request.getfixturevalue("valkey").url(prefix), retention)
        case _:
            made = shared(request.getfixturevalue("cluster").url(prefix), retention)
    for node, heard in zip(made.nodes, made.heard, strict=True):
        await node.start(heard)
    yield made
    for node in made.nodes:
        await node.stop()


@pytest.fixture
def store(installation: Installation) -> Store:
    """A store, for tests that one node is enough for."""
    return installation.store


def embedded(path: str, retention: Retention) -> Installation:
    """One node over SQLite."""
    passed = 0

    def pass_time(ms: int) -> None:
        nonlocal passed
        passed += ms

    node = SqliteStore(path, retention, lambda: unix_ms() + passed)
    return Installation([node], [Heard()], pass_time)


def shared(url: str, retention: Retention) -> Installation:
    """Two nodes over one Redis, or one cluster."""
    nodes = [RedisStore.from_url(url, retention) for _ in range(2)]

    def pass_time(ms: int) -> None:
        for node in nodes:
            node.shift_ms += ms

    return Installation(list(nodes), [Heard(), Heard()], pass_time, grace_ms=REDIS_GRACE_MS)
