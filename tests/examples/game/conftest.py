"""What the tests of the game stand on."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.server_process import ServerProcess, serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """
    A server for all tests that do not kill it.

    A player has one session there, so that each test takes ada over from the one before.
    """
    async with serving("--policy", "single", "--history-events", "8") as server:
        yield server
