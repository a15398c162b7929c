"""
A server to administer, and the environment of somebody who does.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.server_process import ServerProcess, serving

API_KEY = "the-api-key-of-these-tests"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that keeps sessions in memory."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@pytest.fixture
def env(server: ServerProcess) -> dict[str, str]:
    """The variables that name the server and its key."""
    return {"KEYSTAY_CONTROL": server.control, "KEYSTAY_API_KEY": API_KEY}
