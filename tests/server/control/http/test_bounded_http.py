"""
`control/bounded_http.py`: what a client may do before its request is whole.
"""

import asyncio
from urllib.parse import urlsplit

import pytest

from keystay_server.control.http import bounded_http
from keystay_server.control.http.bounded_http import MAX_HEAD_BYTES
from keystay_server.feed.subscriptions import Feed
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import Sessions
from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from tests.support.server.in_process import control_over, one_key
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def answer_to(port: int | None, *parts: bytes) -> bytes:
    """All that the server sends back until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize(
    "endless",
    [b"X-Padding: " + b"x" * 1000 + b"\r\n", b"x" * 1000],
    ids=["lines", "one line"],
)
async def test_an_endless_head_is_cut_off(server: ServerProcess, endless: bytes) -> None:
    """A head of more than 32 KiB ends the connection, be it one line or many."""
    times = 8 * MAX_HEAD_BYTES // len(endless)
    answer = await answer_to(
        urlsplit(server.control).port,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-First: ",
        *[endless] * times,
    )
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


async def test_a_head_within_the_bound_is_served(server: ServerProcess) -> None:
    """A long head, and another one on the same connection, are served."""
    padding = b"X-Padding: " + b"x" * (MAX_HEAD_BYTES - 1000)
    answer = await answer_to(
        urlsplit(server.control).port,
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + padding + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + padding + b"\r\n\r\n",
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_never_ends_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A client that does not finish its head, or begin one, is cut off at the deadline."""
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.05)
    store = open_store("memory://", Retention())
    sessions = Sessions(store, Rules(60))
    control = control_over(store, sessions, Feed(store), deadline_s=1, drain_s=1)
    port = await control.start("127.0.0.1", 0, one_key())
    try:
        assert await answer_to(port, sent) == b""
    finally:
        await control.stop()


async def test_what_is_not_http_is_answered_and_closed(server: ServerProcess) -> None:
    """Bytes that are no request get 400 and the connection closes."""
    answer = await answer_to(urlsplit(server.control).port, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
