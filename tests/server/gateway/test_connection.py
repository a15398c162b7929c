"""
One client: its commands in order, and no more of them than it may have.
"""

import asyncio
import tracemalloc
from typing import Any

import msgpack
import pytest

from keystay_protocol.codec import Limits
from keystay_protocol.errors import CloseCode
from tests.support.server.gate import Gate
from tests.support.server.memory_node import Client, MemoryNode, running_node


def receive(client: Client, *commands: tuple[str, Any]) -> None:
    """Have the commands come in, all in one go, as from one segment."""
    for id_, (method, param) in enumerate(commands):
        client.connection.receive(msgpack.packb([0, id_, method, [param][: param is not None]]))


def answered(client: Client) -> list[int]:
    """The ids of the replies, in their order."""
    return [id_ for id_, _, _ in client.wire.replies()]


async def turn() -> None:
    """Let everything happen that can happen now."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_commands_are_answered_in_their_order() -> None:
    """A quick command waits for the slow one before it."""
    gate = Gate()
    async with running_node(commands=gate.commands) as node:
        client = node.connect()
        receive(
            client,
            ("time.now", None),
            ("test.wait", "a"),
            ("time.now", None),
            ("no.such", None),
            ("test.wait", "b"),
            ("time.now", None),
        )
        assert (answered(client), len(gate.waiting)) == ([0], 1)
        gate.open()
        await turn()
        assert (answered(client), len(gate.waiting)) == ([0, 1, 2, 3], 1)
        gate.open()
        await turn()
        assert answered(client) == [0, 1, 2, 3, 4, 5]
        assert client.wire.replies()[1] == (1, None, "a")


async def test_a_command_sees_what_those_before_it_did(node: MemoryNode) -> None:
    """Sent at once: log in, list, log out, list."""
    client = node.connect()
    ids = [
        client.send(method, *params)
        for method, params in (
            ("session.login", ["anonymous"]),
            ("session.list", []),
            ("session.logout", []),
            ("session.list", []),
        )
    ]
    errors = [(await client.reply(id_))[0] for id_ in ids]
    assert errors == [None, None, None, "noSession"]
    kinds = ["reply" if message[0] == 1 else message[1] for message in client.wire.received]
    assert kinds == ["session.set", "reply", "reply", "session.unset", "reply", "reply"]


@pytest.mark.parametrize("most", [1, 2, 32])
async def test_a_connection_is_full_with_as_many_commands_as_it_may_have(most: int) -> None:
    """It says so to whoever carries it, and says when there is room again."""
    gate = Gate()
    async with running_node(commands=gate.commands, max_in_flight=most) as node:
        client = node.connect()
        for number in range(most):
            assert not client.connection.is_full
            receive(client, ("test.wait", number))
        assert client.connection.is_full
        for number in range(most):
            resumed = client.wire.resumed
            gate.open()
            await turn()
            assert not client.connection.is_full
            assert client.wire.resumed - resumed == (1 if number == 0 else 0)


async def test_a_full_connection_gets_room_as_soon_as_one_is_answered() -> None:
    """Commands that need no waiting are carried out at once, and make room together."""
    gate = Gate()
    async with running_node(commands=gate.commands, max_in_flight=4) as node:
        client = node.connect()
        receive(client, ("test.wait", 0), ("time.now", None), ("time.now", None))
        assert not client.connection.is_full
        receive(client, ("test.wait", 0))
        assert client.connection.is_full
        gate.open()
        await turn()
        assert (len(answered(client)), client.wire.resumed) == (3, 1)


async def test_a_few_large_commands_are_as_much_as_many_small_ones() -> None:
    """What waits is bounded in bytes too: by the size that one message may have."""
    gate = Gate()
    async with running_node(commands=gate.commands, messages=Limits(size=1000)) as node:
        client = node.connect()
        receive(client, ("test.wait", 0), ("test.wait", "x" * 600))
        assert not client.connection.is_full
        receive(client, ("test.wait", "x" * 600))
        assert client.connection.is_full
        gate.open()
        await turn()
        assert not client.connection.is_full
        assert client.wire.resumed == 1


async def test_a_large_message_that_waits_costs_its_size() -> None:
    """What is not carried out yet is kept as it came: an empty map is one byte, not fifty."""
    gate = Gate()
    async with running_node(commands=gate.commands) as node:
        client = node.connect()
        receive(client, ("test.wait", 0))
        await turn()
        tracemalloc.start()
        for _ in range(20):
            receive(client, ("test.wait", [{}] * 10_000))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 500_000


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        msgpack.packb([0, 1, "time.now", []]) + b"\x00",
        msgpack.packb([0, 1, "time.now"]),
        msgpack.packb([0, -1, "time.now", []]),
        msgpack.packb([1, 1, None, None]),
        msgpack.packb([2, "session.set", [None, None]]),
        msgpack.packb([0, 1, "time.now", [[[[[1]]]]]]),
        msgpack.packb([0, 1, "x" * 1000, []]),
    ],
)
async def test_a_malformed_message_is_the_end(message: bytes) -> None:
    """4500, and the reason says what was wrong without repeating any of it."""
    async with running_node(messages=Limits(size=512, depth=4)) as node:
        client = node.connect()
        client.connection.receive(message)
        assert client.wire.closed is not None
        code, reason = client.wire.closed
        assert (code, bool(reason)) == (CloseCode.MALFORMED_FRAME, True)
        assert "xxx" not in reason


async def test_a_malformed_message_among_others_stops_what_follows() -> None:
    """Commands before it are carried out, those after it are not."""
    gate = Gate()
    async with running_node(commands=gate.commands) as node:
        client = node.connect()
        receive(client, ("test.wait", 0), ("time.now", None))
        client.connection.receive(b"\xc1")
        receive(client, ("test.wait", 3))
        gate.open()
        await client.wire.until(lambda wire: wire.closed)
        await turn()
        assert (answered(client), gate.waiting) == ([0, 1], [])


async def test_a_client_that_is_gone_is_answered_no_more() -> None:
    """What it asked for and is under way is finished; what was to come is not begun."""
    gate = Gate()
    async with running_node(commands=gate.commands) as node:
        client = node.connect()
        receive(client, ("test.wait", 0), ("test.wait", 1))
        client.connection.lost()
        gate.open()
        await turn()
        assert (answered(client), gate.waiting) == ([], [])


async def test_a_client_that_is_gone_leaves_no_binding_behind(node: MemoryNode) -> None:
    """Lost while its restore is under way: in the end nobody is bound, no actor is wanted."""
    key = await node.open_session()
    client = node.connect()
    node.store.hold_answers("restore")
    client.send("session.restore", key)
    await node.store.until_done("restore")
    client.connection.lost()
    node.store.deliver_answers("restore")
    await node.until_unbound()
    assert client.connection.peer.binding is None
    assert node.node.counts.bound_now == 0


async def test_a_client_that_is_gone_leaves_the_binding_it_had(node: MemoryNode) -> None:
    """Bound, and lost while it restores another session: both bindings are given up."""
    client = node.connect()
    await client.login("alice")
    key = await node.open_session("bob")
    node.store.hold_answers("restore")
    client.send("session.restore", key)
    await node.store.until_done("restore")
    assert set(node.hub.actors) == {"alice", "bob"}
    client.connection.lost()
    assert set(node.hub.actors) == {"bob"}
    node.store.deliver_answers("restore")
    await node.until_unbound()


async def test_a_command_past_its_deadline_does_not_stop_those_behind_it() -> None:
    """It answers `timeout`, and the next one is carried out."""
    gate = Gate()
    async with running_node(commands=gate.commands, deadline_s=0.01) as node:
        client = node.connect()
        receive(client, ("test.wait", 0), ("time.now", None))
        await client.wire.until(lambda wire: len(wire.replies()) == 2)
        assert [error for _, error, _ in client.wire.replies()] == ["timeout", None]
