"""
One server for all these tests, and a backend that knows its API key.
"""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.support.backend import backend_of
from tests.support.server_process import ServerProcess, serving

API_KEY = "the-api-key-of-these-tests"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that keeps sessions in memory."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that sends the API key."""
    async with backend_of(server.control, API_KEY) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stranger(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that does not know the API key."""
    async with backend_of(server.control) as client:
        yield client
