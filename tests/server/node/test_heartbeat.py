"""
`heartbeat.py`: what nodes know of each other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keystay_protocol import __version__
from keystay_protocol.codec import pack
from keystay_protocol.errors import NoSession
from keystay_server.node.heartbeat import FORGOTTEN_AFTER_S, TOPIC, Heartbeat
from keystay_server.stores.sqlite.clock import unix_ms
from keystay_server.telemetry.counts import Counts
from tests.support.server.memory_node import MemoryNode


@asynccontextmanager
async def beating(
    node: MemoryNode, name: str, counts: Counts, key_id: str = "same"
) -> AsyncIterator[Heartbeat]:
    """A node that leaves word in the store."""
    heart = Heartbeat(node.store, counts, name)
    heart.start(f"ws://{name}:8330", lambda: key_id)
    try:
        yield heart
    finally:
        await heart.stop()


async def test_every_node_reads_of_every_other(node: MemoryNode) -> None:
    """Who they are, where they listen, and what they have done since they started."""
    counts = Counts(connections_now=3, bound_now=2, events=7, recovered=1, slow_clients=4)
    counts.know(["time.now"])
    commands = counts.methods["time.now"]
    commands.add(0.003)
    commands.add(0.003)
    commands.failed(NoSession())
    before = unix_ms()
    async with beating(node, "b", Counts()) as other, beating(node, "a", counts):
        await node.store.until_asked("report", 2)
        first, second = await other.nodes()
    after = unix_ms()
    assert before <= first.pop("startedAt") <= first.pop("seenAt") <= after
    assert 2.5 <= first.pop("p50Ms") <= first.pop("p99Ms") <= 5
    assert first == {
        "id": "a",
        "version": __version__,
        "listen": "ws://a:8330",
        "draining": False,
        "connections": 3,
        "bound": 2,
        "commands": 2,
        "commandsFailed": 1,
        "events": 7,
        "recovered": 1,
        "slowClients": 4,
    }
    assert (second["id"], second["p50Ms"], second["p99Ms"]) == ("b", None, None)


async def test_a_node_that_goes_away_says_so_at_once(node: MemoryNode) -> None:
    """The others know before its last connection is gone."""
    async with beating(node, "a", Counts()) as going, beating(node, "b", Counts()) as other:
        await node.store.until_asked("report", 2)
        going.drain()
        before = asyncio.get_running_loop().time()
        await node.store.until_asked("report", 3)
        assert asyncio.get_running_loop().time() - before < 0.5
        first, second = await other.nodes()
    assert (first["draining"], second["draining"]) == (True, False)


async def test_a_node_that_is_gone_is_forgotten(node: MemoryNode) -> None:
    """Five seconds after its last word it is in no list."""
    async with beating(node, "b", Counts()) as other:
        async with beating(node, "a", Counts()):
            await node.store.until_asked("report", 2)
            assert len(await other.nodes()) == 2
        node.clock.passed_ms += round(FORGOTTEN_AFTER_S * 1000)
        assert [each["id"] for each in await other.nodes()] == ["b"]


async def test_a_word_that_is_not_understood_is_passed_over(node: MemoryNode) -> None:
    """Nodes of another version may say something else: they break nothing."""
    heart = Heartbeat(node.store, Counts(), "a")
    for name, data in (("b", b"\xc1"), ("c", pack([1])), ("d", pack({"new": 1}))):
        await node.store.report(TOPIC, name, data, 1000)
    assert [each["id"] for each in await heart.nodes()] == ["a"]


async def test_a_heart_beats_on_when_the_store_was_away(node: MemoryNode) -> None:
    """An outage of the store ends neither the task nor the word that it leaves afterwards."""
    node.store.is_down = True
    async with beating(node, "a", Counts()):
        await node.store.until_asked("report", 1)
        node.store.is_down = False
        await node.store.until_asked("report", 2)
        assert "a" in await node.store.reports(TOPIC)


async def test_nodes_with_other_api_keys_are_reported(
    node: MemoryNode, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line, with the node and the variable to set; nobody else is shown the ids."""
    async with beating(node, "a", Counts()):
        await node.store.until_asked("report", 1)
        async with beating(node, "b", Counts()):
            await node.store.until_asked("reports", 2)
            assert not caplog.messages
        async with beating(node, "c", Counts(), key_id="other") as other:
            await node.store.until_asked("reports", 3)
            assert all("keyId" not in report for report in await other.nodes())
            await other.stop()
    [line] = caplog.messages
    assert line.startswith("node a has another API key")
    assert "KEYSTAY_API_KEY" in line
