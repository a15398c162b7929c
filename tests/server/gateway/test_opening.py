"""
The opening handshake over a real socket.
"""

import logging
from typing import Any

import pytest

from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.limits import ConnectionLimits
from keystay_server.gateway.origin_policy import OriginPolicy
from tests.support.server.gateway import Gateway, listening
from tests.support.server.raw_peer import BINARY, command, frame, request


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        ("keystay.v1", "keystay.v1"),
        ("keystay.v2, keystay.v1", "keystay.v1"),
        (["keystay.v2", "keystay.v1"], "keystay.v1"),
    ],
)
async def test_version_1_is_chosen_where_it_is_offered(
    gateway: Gateway, offered: Any, chosen: str | None
) -> None:
    """Alone, among others, or with no offer at all; version 1 follows."""
    async with gateway.dialled() as peer:
        answer = await peer.handshake(request(Sec_WebSocket_Protocol=offered))
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="
        assert answer.headers.get("sec-websocket-protocol") == chosen
        assert (await peer.call("time.now"))[0] is None


@pytest.mark.parametrize("offered", ["keystay.v2", "KEYSTAY.V1", "graphql-ws, mqtt"])
async def test_an_unknown_version_is_refused(gateway: Gateway, offered: str) -> None:
    """400, and the body names the supported version."""
    async with gateway.dialled() as peer:
        answer = await peer.handshake(request(Sec_WebSocket_Protocol=offered))
        assert answer.status == 400
        assert "keystay.v1" in answer.body


async def test_compression_is_not_negotiated(gateway: Gateway) -> None:
    """The offer is ignored: a compressed connection costs 35 KiB, and allows bombs."""
    async with gateway.dialled() as peer:
        offer = "permessage-deflate; client_max_window_bits"
        answer = await peer.handshake(request(Sec_WebSocket_Extensions=offer))
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


async def test_any_path_is_accepted(gateway: Gateway) -> None:
    """A proxy in front may route by it."""
    async with gateway.dialled() as peer:
        assert (await peer.handshake(request("/game/socket?shard=7"))).status == 101


async def test_the_first_command_may_come_with_the_handshake(gateway: Gateway) -> None:
    """A client need not wait for the HTTP answer."""
    async with gateway.dialled() as peer:
        hello = frame(BINARY, command(1, "time.now"))
        assert (await peer.handshake(request() + hello)).status == 101
        assert (await peer.message())[:2] == [1, 1]


async def test_a_handshake_may_arrive_byte_by_byte(gateway: Gateway) -> None:
    """Within its deadline."""
    async with gateway.dialled() as peer:
        for byte in request()[:-1]:
            peer.send(bytes([byte]))
            await peer.writer.drain()
        assert (await peer.handshake(b"\n")).status == 101


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(Upgrade=None), 426),
        (request(Connection="keep-alive"), 426),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
        (request(Sec_WebSocket_Key=None), 400),
        (request(Sec_WebSocket_Key="short"), 400),
        (request(Sec_WebSocket_Version="8"), 400),
        (request(Host=["localhost", "localhost"]), 400),
        (request().replace(b"GET", b"POST", 1), 405),
        (request().replace(b"HTTP/1.1", b"HTTP/1.0", 1), 505),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n", 414),
        (b"\x00" * 100_000, 414),
        (request(Cookie="x" * 10_000), 431),
        (request(Cookie=["x"] * 200), 431),
        (request(Cookie=["x" * 5000] * 4), 431),
        (request().replace(b"\r\n", b"\n"), 400),
        (request(Cookie="a\r\n b"), 400),
        (request(Cookie="a\x00b"), 400),
        (request(Content_Length="5") + b"hello", 400),
        (request(Transfer_Encoding="chunked") + b"0\r\n\r\n", 400),
        (request(Host=None), 400),
        (request().replace(b"HTTP/1.1", b"HTTP/2.0", 1), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
async def test_a_request_that_is_no_handshake_gets_a_status(
    gateway: Gateway, data: bytes, status: int
) -> None:
    """Then the connection ends."""
    async with gateway.dialled() as peer:
        assert (await peer.handshake(data)).status == status
        assert await peer.end() == b""


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n", b"GET / \r\n\r\n", b"\x00\r\n\r\n"]
)
async def test_what_is_no_http_is_dropped(gateway: Gateway, data: bytes) -> None:
    """There is nobody to answer."""
    async with gateway.dialled() as peer:
        peer.send(data, b"\r\n")
        assert await peer.end() == b""


@pytest.mark.parametrize("form", ["/?key={}", "/{}", "/?key=%6bst_{}"])
async def test_a_key_in_the_url_is_refused_and_not_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    """400 says what to do instead; the log of the refusal has the address and no more."""
    caplog.set_level(logging.DEBUG)
    key = await gateway.node.open_session()
    async with gateway.dialled() as peer:
        answer = await peer.handshake(request(form.format(key)))
        assert answer.status == 400
        assert "Never put a session key in a URL" in answer.body
    assert "connection refused" in caplog.text
    secret = key.rpartition(":")[2]
    assert secret not in caplog.text
    assert secret not in answer.body


async def test_a_half_sent_request_gets_an_answer(gateway: Gateway) -> None:
    """A client that closes its side within a head is answered 400."""
    async with gateway.dialled() as peer:
        peer.send(request()[:-2])
        peer.writer.write_eof()
        assert (await peer.end()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"HEAD / HTTP/1.0\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
async def test_a_health_check_is_answered_without_a_log_line(
    caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """Also on a full node; it is neither a connection nor a refusal."""
    caplog.set_level(logging.DEBUG, "keystay")
    async with listening(limits=ConnectionLimits(total=1)) as gateway, gateway.connected():
        caplog.clear()
        async with gateway.dialled() as peer:
            peer.send(data)
            answer = await peer.end()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\nok\n") is data.startswith(b"GET")
        assert [record.message for record in caplog.records] == []
        assert gateway.node.node.counts.refused.total() == 0


async def test_each_kind_of_refusal_is_counted_and_logged_once_a_minute(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the address, the status, the reason and the cause."""
    caplog.set_level(logging.INFO, "keystay")
    refused = {
        "origin": request(Origin="https://app.example"),
        "malformed": request(Host=None),
        "tooLarge": request(Cookie="x" * 10_000),
        "method": request().replace(b"GET", b"POST", 1),
        "httpVersion": request().replace(b"HTTP/1.1", b"HTTP/2.0", 1),
        "notWebSocket": request(Upgrade=None),
        "subprotocol": request(Sec_WebSocket_Protocol="other"),
        "keyInUrl": request("/kst_"),
        "notHttp": b"no http\r\n",
        "tls": b"\x16\x03\x01",
    }
    for data in (*refused.values(), *refused.values()):
        async with gateway.dialled() as peer:
            peer.send(data)
            await peer.end()
    counts = gateway.node.node.counts.refused
    assert {reason: number for reason, number in counts.items() if number} == dict.fromkeys(
        refused, 2
    )
    lines = [vars(record) for record in caplog.records if record.name == "keystay.gateway"]
    assert [line["reason"] for line in lines] == list(refused)
    assert lines[0]["message"].startswith(
        "connection refused: Origin https://app.example is not in origins"
    )
    assert (lines[0]["address"], lines[0]["status"]) == ("127.0.0.1", 403)


async def test_a_handshake_past_its_deadline_is_counted() -> None:
    """If it had begun: a connection without a byte, as browsers open them, is no refusal."""
    async with listening(Timings(handshake_s=0.1)) as gateway:
        async with gateway.dialled() as silent, gateway.dialled() as slow:
            slow.send(b"GET / HTTP/1.1\r\n")
            await slow.end()
            await silent.end()
        counts = gateway.node.node.counts.refused
        assert (counts["timeout"], counts.total()) == (1, 1)


async def test_by_default_a_page_must_come_from_the_same_host(gateway: Gateway) -> None:
    """No Origin and the same host are accepted; another host and two Origins are not."""
    host = f"127.0.0.1:{gateway.port}"
    for origin, status in (
        (None, 101),
        (f"http://{host}", 101),
        ("http://127.0.0.1:1", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ([f"http://{host}"] * 2, 403),
    ):
        async with gateway.dialled() as peer:
            assert (await peer.handshake(request(Host=host, Origin=origin))).status == status


async def test_origins_can_be_listed() -> None:
    """Only the listed ones are accepted; a refused page is named in the answer."""
    async with listening(origins=OriginPolicy.of(["https://game.example"])) as gateway:
        for origin, status in (("https://game.example", 101), ("http://game.example", 403)):
            async with gateway.dialled() as peer:
                answer = await peer.handshake(request(Origin=origin))
                assert answer.status == status
                assert status == 101 or f"Origin {origin} is not in origins" in answer.body


@pytest.mark.parametrize(
    ("limits", "status"),
    [(ConnectionLimits(total=2), 503), (ConnectionLimits(per_address=2), 429)],
)
async def test_a_connection_beyond_a_limit_is_refused(
    limits: ConnectionLimits, status: int
) -> None:
    """503 of the node, 429 of one address, with Retry-After; a closed one makes room."""
    async with listening(limits=limits) as gateway:
        async with gateway.connected(), gateway.connected(), gateway.dialled() as third:
            answer = await third.handshake()
            assert answer.status == status
            assert int(answer.headers["retry-after"]) > 0
            assert await third.end() == b""
        async with gateway.connected() as peer:
            assert (await peer.call("time.now"))[0] is None


async def test_a_refused_connection_does_not_count() -> None:
    """A client that stays connected after its refusal uses no capacity."""
    async with (
        listening(limits=ConnectionLimits(total=1)) as gateway,
        gateway.connected() as first,
        gateway.dialled() as second,
    ):
        assert (await second.handshake()).status == 503
        first.writer.close()
        await first.end()
        async with gateway.connected() as third:
            assert (await third.call("time.now"))[0] is None


async def test_a_slow_handshake_is_dropped() -> None:
    """At its deadline, however steadily bytes arrive."""
    async with listening(Timings(handshake_s=0.1)) as gateway, gateway.dialled() as peer:
        peer.send(request()[:-2])
        assert await peer.end() == b""


async def test_a_client_that_stays_after_its_refusal_is_dropped() -> None:
    """After `close_timeout_s`."""
    async with listening(Timings(close_s=0.1)) as gateway, gateway.dialled() as peer:
        await peer.handshake(request(Origin="https://evil.example"))
        assert await peer.end() == b""
        async with gateway.dialled() as other:
            other.send(b"no http\r\n\r\n")
            assert await other.end() == b""
