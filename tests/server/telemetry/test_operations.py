"""
`telemetry/operations.py`: what stands around a store.
"""

import pytest

from keystay_protocol.errors import NoSession, Unavailable
from keystay_server.stores import open_store
from keystay_server.stores.base import Retention, Store
from keystay_server.telemetry.durations import Operations
from keystay_server.telemetry.operations import around, metered, operations_of
from tests.support.server.far_store import FarStore
from tests.support.server.memory_node import MemoryNode


def test_every_coroutine_of_the_store_is_an_operation() -> None:
    """But not its start and stop."""
    names = operations_of(Store)
    assert {"check", "create", "touch", "expire", "history", "report"} <= set(names)
    assert not {"start", "stop"} & set(names)


async def test_calls_are_counted_by_operation(node: MemoryNode) -> None:
    """With how long they took; an answer that refuses is an answer, a store away an error."""
    key = await node.open_session()
    seen: dict[str, Operations] = {}
    store = around(node.store, operations_of(Store), metered(seen))
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


async def test_the_rest_of_a_store_is_as_it_was(node: MemoryNode) -> None:
    """What is no operation, and what is not asked to be counted, costs nothing."""
    store = around(node.store, ["sessions"], metered({}))
    assert isinstance(node.store, FarStore)
    assert store.check == node.store.check
    node.store.is_losing = True
    assert store.is_losing
    assert await store.sessions("alice", 10) == []


async def test_one_wrapping_can_stand_around_another(node: MemoryNode) -> None:
    """Each sees every call: of counts and traces neither hides anything from the other."""
    inner: dict[str, Operations] = {}
    outer: dict[str, Operations] = {}
    store = around(node.store, operations_of(Store), metered(inner))
    store = around(store, operations_of(Store), metered(outer))
    await store.sessions("alice", 10)
    assert inner["sessions"].total == outer["sessions"].total == 1


async def test_a_counted_store_can_be_opened_and_closed() -> None:
    """It is a whole store."""
    store = around(open_store("memory://", Retention()), operations_of(Store), metered({}))
    await store.report("topic", "node", b"word", 1000)
    assert await store.reports("topic") == {"node": b"word"}
    await store.stop()
