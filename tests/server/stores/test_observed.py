"""
`stores/observed.py`: a store whose operations are counted, or traced.
"""

import inspect

import pytest

from keystay_protocol.errors import NoSession, Unavailable
from keystay_server.stores import open_store
from keystay_server.stores.base import Store
from keystay_server.stores.observed import observed
from keystay_server.stores.retention import Retention
from keystay_server.telemetry.durations import Operations
from keystay_server.telemetry.operations import Meter
from tests.support.server.memory_node import MemoryNode


def test_every_operation_of_a_store_is_observed() -> None:
    """All of its coroutines but its start and stop, each under its own name."""
    seen: dict[str, Operations] = {}
    observed(open_store("memory://", Retention()), Meter(seen))
    coroutines = {name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction)}
    assert set(seen) == coroutines - {"start", "stop"}


async def test_calls_are_counted_by_operation(node: MemoryNode) -> None:
    """With how long they took; an answer that refuses is an answer, a store away an error."""
    key = await node.open_session()
    seen: dict[str, Operations] = {}
    store = observed(node.store, Meter(seen))
    assert len(await store.sessions("alice", 10)) == 1
    with pytest.raises(NoSession):
        await store.check("alice", key.encode())
    node.store.is_down = True
    with pytest.raises(Unavailable):
        await store.check("alice", key.encode())
    assert (seen["sessions"].total, seen["sessions"].errors) == (1, 0)
    assert (seen["check"].total, seen["check"].errors) == (2, 1)
    assert seen["check"].seconds > 0
    assert seen["create"].total == 0


async def test_an_operation_that_is_not_counted_is_the_stores_own(node: MemoryNode) -> None:
    """It costs nothing more."""
    seen: dict[str, Operations] = {}
    store = observed(node.store, Meter(seen, {"check", "restore"}))
    assert store.check == node.store.check
    assert store.restore == node.store.restore
    assert not {"check", "restore"} & set(seen)


async def test_one_observer_does_not_hide_calls_from_another(node: MemoryNode) -> None:
    """Both see every call: counts and traces can be used together."""
    inner: dict[str, Operations] = {}
    outer: dict[str, Operations] = {}
    store = observed(observed(node.store, Meter(inner)), Meter(outer))
    await store.sessions("alice", 10)
    assert inner["sessions"].total == outer["sessions"].total == 1


async def test_a_counted_store_can_be_opened_and_closed() -> None:
    """It is a whole store."""
    store = observed(open_store("memory://", Retention()), Meter({}))
    await store.report("topic", "node", b"word", 1000)
    assert await store.reports("topic") == {"node": b"word"}
    await store.stop()
