"""
What the tests of the server's core stand on.
"""

from collections.abc import AsyncIterator

import pytest

from tests.support.server.memory_node import MemoryNode, running_node


@pytest.fixture
async def node() -> AsyncIterator[MemoryNode]:
    """A node of the test's own, without sockets."""
    async with running_node() as node:
        yield node
