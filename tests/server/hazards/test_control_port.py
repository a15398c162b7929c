"""
Attacks on the control port that need no API key: memory and time stay bounded.
"""

import asyncio
import json
import re
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

API_KEY = "the-api-key-of-these-tests"
MIB = 1024 * 1024
WAIT_S = 20.0
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
AUTHORIZATION = b"Authorization: Bearer " + API_KEY.encode() + b"\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that keeps sessions in memory."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A connection to the control port."""
    port = urlsplit(server.control).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(WAIT_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(server: ServerProcess, *parts: bytes) -> bytes:
    """Send these; return all that comes back until the server closes."""
    async with connected(server) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()


def statuses(answers: bytes) -> list[int]:
    """The status of each answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


async def sent_until_closed(server: ServerProcess, begin: bytes, again: bytes) -> int:
    """Send the same again until the server closes; return the number of bytes."""
    sent = 0
    async with connected(server) as (reader, writer):
        reading = asyncio.create_task(reader.read())
        writer.write(begin)
        try:
            while not reading.done() and sent < 64 * MIB:
                writer.write(again)
                sent += len(again)
                await writer.drain()
        except ConnectionError:
            pass
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return sent


ENDLESS = {
    "trailer lines": (b"POST /login " + CHUNKED + b"\r\n0\r\n", b"X: y\r\n" * 10_000),
    "one trailer": (b"POST /login " + CHUNKED + b"\r\n0\r\nX: ", b"y" * 60_000),
    "trailers behind an answer": (
        b"GET /livez " + CHUNKED + b"\r\n0\r\n",
        b"X: y\r\n" * 10_000,
    ),
    "a chunk extension": (b"POST /login " + CHUNKED + b"\r\n1;x=", b"y" * 60_000),
    "a body behind an answer": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n",
        b"y" * 60_000,
    ),
    "chunks behind an answer": (b"GET /livez " + CHUNKED + b"\r\n", b"1\r\ny\r\n" * 10_000),
    "a head": (b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 10_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_never_ends_is_cut_off(server: ServerProcess, kind: str) -> None:
    """The connection is closed after at most a MiB or so, and the memory is what it was."""
    before = server.memory_bytes()
    sent = await asyncio.gather(*(sent_until_closed(server, *ENDLESS[kind]) for _ in range(4)))
    assert max(sent) < 16 * MIB
    assert server.memory_bytes() - before < 16 * MIB


def request_with_trailer(trailer: bytes) -> bytes:
    """A request that creates a session, if its trailer is taken for a header."""
    body = json.dumps({"actorId": "trailer"}).encode()
    return (
        b"POST /v1/sessions "
        + CHUNKED
        + b"Content-Type: application/json\r\n\r\n"
        + (b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer))
    )


@pytest.mark.parametrize("trailer", [AUTHORIZATION, b"Host: localhost\r\n"])
async def test_trailers_are_dropped(server: ServerProcess, trailer: bytes) -> None:
    """A trailer is never a header: it opens no session, and changes nothing else."""
    answer = await exchange(server, request_with_trailer(trailer) + LAST)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize("trailer", [b"Content-Length: 5\r\n", b"Connection: close\r\n"])
async def test_a_trailer_that_ends_the_connection(
    server: ServerProcess, trailer: bytes
) -> None:
    """What follows is not answered, and the connection is closed: nothing waits for it."""
    answer = await exchange(server, request_with_trailer(trailer) + LIVEZ)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert b"HTTP/1.1 20" not in answer


async def test_a_body_in_small_chunks_is_served(server: ServerProcess) -> None:
    """Chunks of one byte, extensions and trailers are valid, as long as they are bounded."""
    body = json.dumps({"actorId": "chunks", "meta": {"text": "x" * 3000}}).encode()
    chunks = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in body)
    answer = await exchange(
        server,
        b"POST /v1/sessions " + CHUNKED + AUTHORIZATION + b"Connection: close\r\n\r\n",
        chunks + b"0\r\nX-Checksum: 1\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 201 ")


async def test_pipelined_requests_are_answered_in_order(server: ServerProcess) -> None:
    """All of them, one after the other, however many come in one packet."""
    session = b"POST /v1/sessions " + CHUNKED + AUTHORIZATION + b"\r\n"
    body = json.dumps({"actorId": "pipelined"}).encode()
    created = session + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    answer = await exchange(server, LIVEZ * 500 + created + LIVEZ * 500 + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 1001
    assert answer[: answer.index(b"HTTP/1.1 201 ")].count(b"HTTP/1.1 200 OK") == 500


async def test_pipelining_without_reading_holds_nothing_up(server: ServerProcess) -> None:
    """50 connections that send 256 KiB of requests each, and read nothing."""
    before = server.memory_bytes()
    burst = LIVEZ * (256 * 1024 // len(LIVEZ))
    async with AsyncExitStack() as stack, backend_of(server.control) as other:
        for _ in range(50):
            _, writer = await stack.enter_async_context(connected(server))
            writer.write(burst)
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert (await other.get("/livez")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2
    assert server.memory_bytes() - before < 60 * MIB


async def test_a_bad_request_behind_good_ones_does_not_answer_for_them(
    server: ServerProcess,
) -> None:
    """The 400 comes after the answers of the requests before it."""
    answer = await exchange(server, LIVEZ * 3 + b"\x16\x03\x01 what\r\n\r\n")
    assert statuses(answer) == [200, 200, 200, 400]


@pytest.mark.parametrize(
    "upgrade", [b"h2c", b"websocket", b"TLS/1.2, h2c"], ids=["h2c", "websocket", "several"]
)
@pytest.mark.parametrize("body", [b"", b"Content-Length: 5\r\n"], ids=["no body", "a body"])
async def test_a_request_behind_an_upgrade_is_answered(
    server: ServerProcess, upgrade: bytes, body: bytes
) -> None:
    """The control port upgrades to nothing, and goes on in HTTP/1.1."""
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + upgrade
    request = head + b"\r\n" + body + b"\r\n" + (b"hello" if body else b"")
    answer = await exchange(server, request + LIVEZ + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_the_body_of_a_request_with_an_upgrade_is_read(server: ServerProcess) -> None:
    """Some clients offer HTTP/2 with a POST. Its body is never taken for a request."""
    body = json.dumps({"actorId": "upgrade"}).encode()
    head = (
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    )
    length = b"Content-Length: %d\r\n\r\n"
    good = head + AUTHORIZATION + length % len(body) + body
    smuggled = head + length % len(LIVEZ) + LIVEZ
    answer = await exchange(server, good + smuggled + LAST)
    assert statuses(answer) == [201, 401, 200]


async def test_connect_is_refused(server: ServerProcess) -> None:
    """What follows is not taken for a request."""
    answer = await exchange(server, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + LAST)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


HOSTS = {
    "two": b"Host: localhost\r\nHost: evil.example\r\n",
    "the same twice": b"Host: localhost\r\nHost: localhost\r\n",
    "none": b"",
    "a path": b"Host: localhost/x\r\n",
    "a user": b"Host: me@localhost\r\n",
    "a list": b"Host: localhost, evil.example\r\n",
    "a space": b"Host: local host\r\n",
}


@pytest.mark.parametrize("path", [b"/livez", b"/demo", b"/v1/stats"])
@pytest.mark.parametrize("hosts", HOSTS)
async def test_a_request_names_one_host(server: ServerProcess, hosts: str, path: bytes) -> None:
    """RFC 9112, section 3.2: no host, several, or an invalid one get 400."""
    answer = await exchange(
        server, b"GET %b HTTP/1.1\r\nConnection: close\r\n%b\r\n" % (path, HOSTS[hosts])
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("host", [b"localhost", b"[::1]:8331", b"127.0.0.1:1", b"a_b.example."])
async def test_a_valid_host_is_served(server: ServerProcess, host: bytes) -> None:
    """A name or an address, with or without a port; HTTP/1.0 needs none."""
    get = b"GET /livez HTTP/1.1\r\nConnection: close\r\nHost: " + host
    assert (await exchange(server, get + b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert (await exchange(server, b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_metrics_are_rendered_at_most_once_a_second(server: ServerProcess) -> None:
    """200 scrapes cost no more than a few: all of a second are one text."""
    async with backend_of(server.control) as scraper:
        began = time.monotonic()
        texts = [(await scraper.get("/metrics")).text for _ in range(100)]
        assert len(set(texts)) <= time.monotonic() - began + 2


@pytest.mark.long
async def test_a_client_that_reads_nothing_is_closed() -> None:
    """It cannot keep its place for ever: others are served by it."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as server, AsyncExitStack() as stack:
        for _ in range(8):
            _, writer = await stack.enter_async_context(connected(server))
            writer.write((b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n") * 3000)

        async def open_files() -> int:
            async with backend_of(server.control) as other:
                text = (await other.get("/metrics")).text
            line = next(
                each for each in text.splitlines() if each.startswith("process_open_fds")
            )
            return int(float(line.split()[1]))

        most = await open_files()
        await until(open_files, lambda now: now <= most - 8)
