"""
`control/body.py`: what may be in the body of a request.
"""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.server.control.conftest import API_KEY
from tests.support.backend import backend_of
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"actorId=alice",
        b'{"actorId": "alice"',
        b'{"actorId": "alice"} {}',
        b'{"actorId": "alice", "ttl": NaN}',
        b'{"actorId": "alice", "ttl": Infinity}',
        b'{"actorId": "alice", "actorId": "bob"}',
        b'{"actorId": "alice", "meta": {"level": 1, "level": 2}}',
        b'{"actorId": "\xff"}',
        b'\xef\xbb\xbf{"actorId": "alice"}',
        '{"actorId": "alice"}'.encode("utf-16"),
        b"[" * 60_000,
        b'{"actorId": ' + b"7" * 5_000 + b"}",
    ],
)
async def test_what_is_not_json_is_refused(backend: httpx.AsyncClient, body: bytes) -> None:
    """A body that is not one JSON text as RFC 8259 has it gets 400, and is not quoted."""
    answer = await backend.post("/v1/sessions", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalidParams"
    assert answer.json()["detail"] == "the body must be JSON (RFC 8259)"


@pytest.mark.parametrize("body", [b"null", b"[]", b'"alice"', b"7"])
async def test_a_body_is_an_object(backend: httpx.AsyncClient, body: bytes) -> None:
    """JSON that is no object gets 400."""
    answer = await backend.post("/v1/sessions", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "the body must be a JSON object"


async def test_a_body_has_a_bound(backend: httpx.AsyncClient) -> None:
    """A body of 64 KiB is read; one byte more gets 413, announced or in chunks."""
    body = b'{"actorId": "alice"}'.ljust(65_536)
    assert (await backend.post("/v1/sessions", content=body)).status_code == 201

    async def chunks() -> AsyncIterator[bytes]:
        yield body
        yield b" "

    for content in (body + b" ", chunks()):
        answer = await backend.post("/v1/sessions", content=content)
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_long_name_is_not_quoted_at_length(backend: httpx.AsyncClient) -> None:
    """The name of an unknown field is quoted so that it fits a line and can be printed."""
    answer = await backend.post("/v1/sessions", json={"\x1b[2J" + "x" * 5_000: 1})
    assert answer.status_code == 400
    assert len(answer.json()["detail"]) < 120
    assert answer.json()["detail"].isprintable()


async def test_a_body_that_never_comes_is_not_waited_for() -> None:
    """A request whose body does not arrive within the deadline is answered `timeout`."""
    async with serving(
        "--command-timeout-s", "0.2", env={"KEYSTAY_API_KEY": API_KEY}
    ) as server:
        parts = urlsplit(server.control)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"
            b"Authorization: Bearer " + API_KEY.encode() + b"\r\n\r\n{"
        )
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readuntil(b"}")
        writer.close()
        await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 504 ")
    assert b'"code":"timeout"' in body


async def test_a_client_that_leaves_is_no_failure(server: ServerProcess) -> None:
    """A backend that leaves in the middle of its request has no effect."""
    parts = urlsplit(server.control)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"
        b"Authorization: Bearer " + API_KEY.encode() + b"\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with backend_of(server.control) as client:
        assert (await client.get("/livez")).status_code == 200
