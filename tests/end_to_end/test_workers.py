"""
`keystay serve --workers N`: several processes on one port, and one control port for all.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.asking import logged, until
from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.scraping import scraped, value
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey, running_valkey

WORKERS = 2
CLIENTS = 40


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server of the test's own."""
    with running_valkey(tmp_path) as valkey:
        yield valkey


@pytest.fixture
async def server(own_valkey: Valkey, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A node with two workers."""
    flags = ("--store", own_valkey.url(), "--workers", str(WORKERS))
    async with serving(*flags, log=tmp_path / "log") as server:
        yield server


@pytest.fixture
async def backend(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A backend of it."""
    async with backend_of(server.control, "test-api-key") as http:
        yield http


async def children(server: ServerProcess) -> list[int]:
    """The processes that the server has started."""
    path = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(pid) for pid in (await asyncio.to_thread(path.read_text)).split()]


async def test_clients_are_spread_and_one_port_answers_for_all(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Statistics, metrics, sessions and events, whichever worker has the connection."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connected(server.url)) for _ in range(CLIENTS)
        ]
        for number, client in enumerate(clients):
            await client.login(f"player:{number}")
            await client.call("events.subscribe", ["news"])

        async def spread() -> list[int]:
            nodes = (await backend.get("/v1/stats")).json()["nodes"]
            return sorted(node["bound"] for node in nodes)

        parent, few, many = await until(spread, lambda bound: sum(bound) == CLIENTS)
        assert parent == 0
        assert 0 < few <= many
        logins = await until(lambda: logins_of(server), lambda number: number == CLIENTS)
        assert logins == CLIENTS
        await backend.post("/v1/broadcast", json={"name": "news"})
        for client in clients:
            await client.event()
            assert (await client.event())[0] == "news"
        [session] = (await backend.get("/v1/actors/player:7/sessions")).json()["sessions"]
        await backend.delete(f"/v1/sessions/{session['id']}?reason=banned")
        name, data, _ = await clients[7].event()
        assert (name, data["reason"]) == ("session.unset", "banned")


async def logins_of(server: ServerProcess) -> float:
    """How many logins all processes have counted."""
    metrics = await scraped(server)
    return value(metrics, "keystay_commands_total", method="session.login", result="ok")


async def test_a_killed_worker_is_started_again(
    server: ServerProcess, backend: httpx.AsyncClient, tmp_path: Path
) -> None:
    """It is said and counted; nobody is refused meanwhile, and no session is lost."""
    async with connected(server.url) as client:
        key = await client.login("alice")
    before = await children(server)
    os.kill(before[0], signal.SIGKILL)
    for _ in range(CLIENTS):
        async with connected(server.url) as client:
            assert await client.call("session.isValid", key) == (None, None)
    await logged(tmp_path / "log", "ended: SIGKILL; it is started again")
    after = await until(lambda: children(server), lambda pids: len(pids) == WORKERS)
    assert before[0] not in after
    assert value(await scraped(server), "keystay_workers_restarted_total") == 1
    assert (await backend.get("/readyz")).status_code == 200


async def until_gone(pids: list[int]) -> None:
    """Wait until none of these processes is there."""

    def alive() -> list[int]:
        return [pid for pid in pids if is_alive(pid)]

    await until(lambda: asyncio.to_thread(alive), lambda left: not left)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def test_workers_stop_with_their_parent(server: ServerProcess) -> None:
    """SIGTERM drains all of them."""
    workers = await children(server)
    async with connected(server.url) as client:
        assert await server.terminate() == 0
        assert (await client.event())[0] == "server.draining"
    await until_gone(workers)


async def test_a_killed_parent_leaves_no_worker(server: ServerProcess) -> None:
    """They drain and end when the pair of sockets breaks."""
    workers = await children(server)
    await server.kill()
    await until_gone(workers)
