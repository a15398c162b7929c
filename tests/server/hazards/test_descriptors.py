"""
A process that is short of file descriptors.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.asking import logged, until
from tests.support.backend import backend_of
from tests.support.certificate import make_certificate
from tests.support.raw_client import connected
from tests.support.scraping import scraped, value
from tests.support.server.flood import raw
from tests.support.server_process import ServerProcess, serving

MAX_FILES = 128
CONNECTIONS = 200
SOME = 16
REFUSED = "keystay_connections_refused_total"


async def connect_idly(server: ServerProcess, stack: AsyncExitStack) -> None:
    """Connect many times, send nothing, and wait until those that are refused are closed."""
    for _ in range(CONNECTIONS):
        last = await stack.enter_async_context(raw(server, with_handshake=False))
    await last.end()
    await until(lambda: descriptors(server), lambda number: number < MAX_FILES - SOME)


async def descriptors(server: ServerProcess) -> int:
    """How many descriptors the server has open."""
    return len(await asyncio.to_thread(os.listdir, f"/proc/{server.pid}/fd"))


async def refused(server: ServerProcess) -> float:
    """How many connections were refused for want of descriptors."""
    return value(await scraped(server), REFUSED, reason="descriptors")


async def serves_backends(server: ServerProcess) -> None:
    """The control port and the store work, each request on a connection of its own."""
    for _ in range(20):
        async with backend_of(server.control, "test-api-key") as http:
            assert (await http.get("/livez")).status_code == 200
            assert (await http.get("/readyz")).status_code == 200
            answer = await http.post("/v1/sessions", json={"actorId": "alice"})
            assert answer.status_code == 201


async def test_idle_clients_leave_descriptors_for_backends(tmp_path: Path) -> None:
    """Clients beyond their share get 503 at once, are counted, and logged once a minute."""
    log, store = tmp_path / "log", f"sqlite:///{tmp_path / 'keystay.db'}"
    async with serving("--store", store, max_files=MAX_FILES, log=log) as server:
        async with AsyncExitStack() as stack:
            await connect_idly(server, stack)
            await serves_backends(server)
            assert CONNECTIONS - MAX_FILES < await until(lambda: refused(server)) < CONNECTIONS
            async with raw(server, with_handshake=False) as one_more:
                assert (await one_more.end()).startswith(b"HTTP/1.1 503 ")
        async with connected(server.url) as client:
            assert await client.login("alice")
        lines = await logged(log, "short of file descriptors")
    assert lines.count("short of file descriptors") == 1


async def test_idle_clients_of_a_port_with_tls_leave_descriptors_too(tmp_path: Path) -> None:
    """They are dropped before their TLS handshake, which they never begin."""
    cert, key = map(str, make_certificate(tmp_path))
    flags = ("--tls-cert", cert, "--tls-key", key)
    async with serving(*flags, max_files=MAX_FILES) as server, AsyncExitStack() as stack:
        await connect_idly(server, stack)
        await serves_backends(server)
        # Fewer than beyond the limit: of a burst, the event loop drops some by itself.
        assert await until(lambda: refused(server)) < CONNECTIONS


@pytest.mark.parametrize("data", [b"", b"GET /livez HTTP/1.1\r\n"])
async def test_idle_backends_leave_descriptors_for_clients(data: bytes) -> None:
    """The control port evicts idle connections before it takes all that is kept back."""
    async with serving(max_files=MAX_FILES) as server, AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            peer = await stack.enter_async_context(
                raw(server, with_handshake=False, control=True)
            )
            peer.send(data)
        await serves_backends(server)
        async with connected(server.url) as client:
            assert await client.login("alice")
