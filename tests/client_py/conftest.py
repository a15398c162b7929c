"""What the tests of the SDK stand on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import keystay
from tests.support.client_py.peer import Peer, listening
from tests.support.server_process import ServerProcess, serving


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A server that does what the test says."""
    async with listening() as peer:
        yield peer


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Every task that a client started has ended when the test is over."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert [task for task in left if task.get_name().startswith("keystay")] == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """A real server, the same for all tests: each has actors of its own."""
    async with serving() as server:
        yield server


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[keystay.Client]:
    """A client of the real server."""
    async with keystay.connect(server.url) as client:
        yield client


@pytest.fixture
async def other(server: ServerProcess) -> AsyncIterator[keystay.Client]:
    """A second client of the same server."""
    async with keystay.connect(server.url) as other:
        yield other
