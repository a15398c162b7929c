"""
`control/health.py`: what load balancers are told.
"""

import asyncio
import base64
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.server_process import serving
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.asyncio(loop_scope="session")

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16))
) + b"\r\n\r\n"


async def test_health_needs_no_key(stranger: httpx.AsyncClient) -> None:
    """A server that accepts clients answers without a key: 200 for `/livez` and `/readyz`."""
    alive, ready = await stranger.get("/livez"), await stranger.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_a_node_that_goes_away_is_not_ready() -> None:
    """While a node drains, `/readyz` answers 503 and `/livez` 200; then it exits with 0."""
    async with serving() as server, backend_of() as http:
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(HANDSHAKE)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            stopping = asyncio.create_task(server.terminate())
            await reader.readuntil(b"server.draining")
            # This client does not answer the close frame: the server waits for it.
            ready = await http.get(f"{server.control}/readyz")
            alive = await http.get(f"{server.control}/livez")
            writer.close()
            await writer.wait_closed()
            assert await stopping == 0
    assert ready.status_code == 503
    assert ready.json()["detail"] == "the node shuts down"
    assert alive.status_code == 200


async def test_a_node_without_its_store_is_not_ready(tmp_path: Path) -> None:
    """While the store is silent or away, `/readyz` answers 503 and `/livez` 200."""
    with running_valkey(tmp_path) as valkey:
        await check_readiness_over_outages(valkey)


async def check_readiness_over_outages(valkey: Valkey) -> None:
    async with (
        serving("--store", valkey.url()) as server,
        backend_of(server.control) as http,
        asyncio.timeout(20),
    ):
        assert (await http.get("/readyz")).status_code == 200
        valkey.pause()
        assert (await http.get("/readyz")).json()["detail"] == "the store is out of reach"
        valkey.resume()
        await until(lambda: http.get("/readyz"), lambda answer: answer.status_code == 200)
        valkey.kill()
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/livez")).status_code == 200
