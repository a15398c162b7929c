"""
What the scenarios stand on. Each is run with every client: the Python SDK, and the JavaScript
client in Node and in Chromium (which takes long).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser

import keystay
from tests.support.chromium import browsing
from tests.support.client_py.peer import Peer, listening
from tests.support.end_to_end.js_drivers import Node, NodeDriver, PageDriver
from tests.support.end_to_end.program import Driver, Program, Tell
from tests.support.end_to_end.python_driver import PythonDriver
from tests.support.server_process import ServerProcess, serving

API_KEY = "test-api-key"


class Run(Protocol):
    """Runs a program with a client of this server, and a storage of its own."""

    async def __call__(self, url: str, **options: object) -> Program: ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with browsing() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def idle_nodes() -> AsyncIterator[list[Node]]:
    """Processes of Node that no scenario uses."""
    idle: list[Node] = []
    yield idle
    for node in idle:
        await node.end()


@pytest.fixture(params=["python", "node", pytest.param("chromium", marks=pytest.mark.long)])
def make_driver(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Tell], Driver]:
    """Makes what runs programs of each kind in turn."""
    files = (tmp_path / f"session-{number}" for number in count())
    match request.param:
        case "python":
            return lambda tell: PythonDriver(next(files), tell)
        case "node":
            idle = request.getfixturevalue("idle_nodes")
            return lambda tell: NodeDriver(idle, next(files), tell)
        case _:
            browser = request.getfixturevalue("browser")
            return lambda tell: PageDriver(browser, tell)


@pytest_asyncio.fixture(loop_scope="session")
async def run(make_driver: Callable[[Tell], Driver]) -> AsyncIterator[Run]:
    """Runs programs until the scenario is over."""
    async with AsyncExitStack() as cleanup:

        async def run(url: str, **options: object) -> Program:
            program = Program(make_driver)
            cleanup.push_async_callback(program.close)
            await program.start(url, **options)
            return program

        yield run


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """A server for all scenarios that do not stop it: each has actors of its own."""
    async with serving() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def strict_server() -> AsyncIterator[ServerProcess]:
    """One that remembers 5 events of an actor, who may have one session."""
    async with serving("--history-events", "5", env={"KEYSTAY_POLICY": "single"}) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(server: ServerProcess) -> AsyncIterator[keystay.Control]:
    """A backend of `server`."""
    async with keystay.Control(server.control, API_KEY) as backend:
        yield backend


@pytest.fixture
def actor_id(request: pytest.FixtureRequest) -> str:
    """An actor that no other scenario knows."""
    return str(request.node.name)


@pytest_asyncio.fixture(loop_scope="session")
async def peer() -> AsyncIterator[Peer]:
    """A server that does what the scenario says."""
    async with listening() as peer:
        yield peer
