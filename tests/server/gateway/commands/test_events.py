"""
`events.subscribe` and `events.unsubscribe`: which events a connection hears.
"""

from typing import Any

import pytest

from tests.support.server.memory_node import MemoryNode

BOTH = ["events.subscribe", "events.unsubscribe"]


async def test_a_connection_starts_with_the_events_of_its_session(node: MemoryNode) -> None:
    """It is subscribed to `session` before it says anything."""
    client = node.connect()
    assert await client.call("events.subscribe", []) == (None, ["session"])


async def test_subscriptions_add_up(node: MemoryNode) -> None:
    """The answer is all of them, each once; asking again changes nothing."""
    client = node.connect()
    await client.call("events.subscribe", ["chat", "chat", "inventory"])
    error, paths = await client.call("events.subscribe", ["chat", "session"])
    assert (error, sorted(paths)) == (None, ["chat", "inventory", "session"])


async def test_a_path_is_taken_away_as_it_was_subscribed(node: MemoryNode) -> None:
    """Exactly that path and none below it; one that is not there is no error."""
    client = node.connect()
    await client.call("events.subscribe", ["session.set", ""])
    error, paths = await client.call("events.unsubscribe", ["session", "never.was"])
    assert (error, sorted(paths)) == (None, ["", "session.set"])
    assert await client.call("events.unsubscribe", ["", "session.set"]) == (None, [])


@pytest.mark.parametrize(
    ("paths", "heard"),
    [
        (["session"], ["session.set", "session.unset"]),
        (["session.set"], ["session.set"]),
        (["session.unset"], ["session.unset"]),
        ([""], ["session.set", "session.unset"]),
        (["session", "session.set", ""], ["session.set", "session.unset"]),
        (["sess", "session.", "session.set.x", "*"], []),
        ([], []),
    ],
)
async def test_a_path_hears_itself_and_what_is_below(
    node: MemoryNode, paths: list[str], heard: list[str]
) -> None:
    """Dots divide the levels, and an event that several paths hear is sent once."""
    client = node.connect()
    await client.call("events.unsubscribe", ["session"])
    await client.call("events.subscribe", paths)
    await client.login()
    await client.call("session.logout")
    assert [name for name, _ in client.wire.told()] == heard


async def test_subscriptions_outlive_the_session(node: MemoryNode) -> None:
    """They belong to the connection, whatever it is bound to."""
    client = node.connect()
    await client.call("events.subscribe", ["chat"])
    await client.login()
    await client.call("session.logout")
    assert await client.call("events.subscribe", []) == (None, ["session", "chat"])
    assert await node.connect().call("events.subscribe", []) == (None, ["session"])


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize(
    "params", [[], [None], ["session"], [{"path": 1}], [["a"], None], [[1]], [[None]], [[b"a"]]]
)
async def test_paths_are_an_array_of_strings(
    node: MemoryNode, method: str, params: list[Any]
) -> None:
    """Anything else is `invalidParams`, and changes nothing."""
    client = node.connect()
    assert await client.refusal(method, *params) == "invalidParams"
    assert await client.call("events.subscribe", []) == (None, ["session"])


@pytest.mark.parametrize("method", BOTH)
async def test_a_path_has_a_length(node: MemoryNode, method: str) -> None:
    """128 bytes of UTF-8; of several paths, one too long spoils all."""
    client = node.connect()
    assert await client.refusal(method, ["é" * 64]) is None
    for path in ("a" * 129, "é" * 65):
        assert await client.refusal(method, ["fine", path]) == "invalidParams"
    assert "fine" not in (await client.call("events.subscribe", []))[1]


async def test_a_connection_has_a_number_of_paths(node: MemoryNode) -> None:
    """64 in all; one more is refused, and then none of the command is added."""
    client = node.connect()
    await client.call("events.subscribe", [f"path-{number}" for number in range(62)])
    assert await client.refusal("events.subscribe", ["one", "more"]) == "invalidParams"
    error, paths = await client.call("events.subscribe", ["one"])
    assert (error, len(paths)) == (None, 64)
    assert await client.refusal("events.subscribe", ["path-1"]) is None
    for method in BOTH:
        assert await client.refusal(method, ["same"] * 65) == "invalidParams"
