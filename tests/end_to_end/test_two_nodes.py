"""
Two server processes that share one Valkey behave as one.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.backend import change
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Two, for tests with actors of their own."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        store = ("--store", valkey.url())
        async with serving(*store) as first, serving(*store) as second:
            yield first, second


async def test_a_logout_on_one_node_reaches_the_other(
    nodes: tuple[ServerProcess, ServerProcess],
) -> None:
    """A session is held by connections on two nodes; a logout on one is pushed on both."""
    first, second = nodes
    async with (
        connected(first.url) as here,
        connected(second.url) as there,
    ):
        key = await here.login("alice")
        assert (await there.call("session.restore", key))[0] is None
        assert [name for name, _, _ in there.events()] == ["session.set"]
        await here.call("session.logout")
        # Nothing is told here of the restore on the other node: nothing happened.
        assert [name for name, _, _ in here.events()] == ["session.set", "session.unset"]
        await there.event()
        name, data, cursor = await there.event()
        assert (name, data["reason"]) == ("session.unset", "loggedOut")
        assert cursor == here.events()[-1][2]


async def test_both_nodes_tell_the_same_story(
    nodes: tuple[ServerProcess, ServerProcess],
) -> None:
    """Whoever causes them and wherever: a session's events are the same everywhere, once."""
    first, second = nodes
    async with (
        connected(first.url) as one,
        connected(first.url) as two,
        connected(second.url) as three,
        connected(second.url) as four,
    ):
        clients = [one, two, three, four]
        key = await one.login("bob")
        _, session, _ = await one.event()
        for client in clients[1:]:
            await client.call("session.restore", key)
        controls = (first.control, second.control)
        changing = [change(control, session["id"], times=25) for control in controls * 2]
        await asyncio.gather(*changing)
        await one.call("session.logout")
        stories = [await _until_unset(client) for client in clients]
        for story in stories[1:]:
            assert story == stories[0][1:]  # But for the login.
        cursors = [cursor for _, cursor in stories[0]]
        assert len(stories[0]) == 1 + 100 + 1
        assert cursors == sorted(set(cursors))


async def _until_unset(client: RawClient) -> list[tuple[str, int]]:
    while not client.events() or client.events()[-1][0] != "session.unset":
        await client.receive()
    return [(name, cursor) for name, _, cursor in client.events() if cursor is not None]
