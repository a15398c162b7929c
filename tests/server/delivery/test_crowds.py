"""
Many connections: of one session, and of all.
"""

import asyncio

from keystay_server.delivery.broadcasts import MAX_WAITING, STEP
from tests.support.server.memory_node import running_node
from tests.support.server.wire import WAIT_S


async def test_connections_of_a_session_are_bounded() -> None:
    """One more is refused and told when to try again; one that leaves makes room."""
    async with running_node(max_connections_per_session=2) as node:
        first, second, third = (node.connect() for _ in range(3))
        key = await first.login("alice")
        assert await second.refusal("session.restore", key) is None
        error, details = await third.call("session.restore", key)
        assert (error, details["retryAfter"]) == ("unavailable", 30.0)
        assert third.connection.peer.binding is None
        assert await second.refusal("session.restore", key) is None, "it is one of them"
        other = await node.open_session("alice")
        assert await third.refusal("session.restore", other) is None, "another session"
        first.connection.lost()
        assert await third.refusal("session.restore", key) is None


async def test_a_broadcast_to_many_goes_out_in_steps_and_in_order() -> None:
    """Others are served in between; each connection gets all, those that wait too, in order."""
    async with running_node() as node:
        clients = [node.connect() for _ in range(2 * STEP + 1)]
        for client in clients:
            client.connection.peer.subscribe(("news",))
        names = [f"news.{number}" for number in range(MAX_WAITING + 10)]
        for name in names:
            await node.elsewhere.broadcast(name, None)
        assert not clients[-1].wire.events() or not clients[0].wire.events()
        for client in clients:
            await client.wire.until(lambda wire: len(wire.events()) == len(names))
            assert [event[0] for event in client.wire.events()] == names


async def test_few_are_sent_a_broadcast_at_once() -> None:
    """No task is waited for."""
    async with running_node() as node:
        client = node.connect()
        client.connection.peer.subscribe(("news",))
        async with asyncio.timeout(WAIT_S):
            await node.elsewhere.broadcast("news", None)
        assert [event[0] for event in client.wire.events()] == ["news"]
