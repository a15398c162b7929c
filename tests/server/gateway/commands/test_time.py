"""
`time.now`.
"""

import time

from tests.support.server.memory_node import MemoryNode


async def test_the_clock_is_told_in_milliseconds(node: MemoryNode) -> None:
    """Unix time as an integer, with or without a session."""
    client = node.connect()
    before = time.time_ns() // 1_000_000
    error, now = await client.call("time.now")
    assert error is None
    assert type(now) is int
    assert before <= now <= time.time_ns() // 1_000_000


async def test_it_takes_nothing(node: MemoryNode) -> None:
    """A parameter is one too many, even nil."""
    client = node.connect()
    assert await client.refusal("time.now", None) == "invalidParams"
