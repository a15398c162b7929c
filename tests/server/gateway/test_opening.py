"""
The opening handshake over a real socket.
"""

import logging
from typing import Any

import pytest

from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.handshake import OriginPolicy
from keystay_server.gateway.limits import ConnectionLimits
from tests.support.server.gateway import Door, listening
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
    door: Door, offered: Any, chosen: str | None
) -> None:
    """Alone, among others, or by offering nothing; then version 1 is spoken."""
    async with door.dialled() as peer:
        answer = await peer.shake_hands(request(Sec_WebSocket_Protocol=offered))
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="
        assert answer.headers.get("sec-websocket-protocol") == chosen
        assert (await peer.call("time.now"))[0] is None


@pytest.mark.parametrize("offered", ["keystay.v2", "KEYSTAY.V1", "graphql-ws, mqtt"])
async def test_an_unknown_version_is_told_what_there_is(door: Door, offered: str) -> None:
    """400, and the body names what the server speaks."""
    async with door.dialled() as peer:
        answer = await peer.shake_hands(request(Sec_WebSocket_Protocol=offered))
        assert answer.status == 400
        assert "keystay.v1" in answer.body


async def test_compression_is_not_negotiated(door: Door) -> None:
    """The offer is passed over: a compressed connection costs 35 KiB, and opens bombs."""
    async with door.dialled() as peer:
        offer = "permessage-deflate; client_max_window_bits"
        answer = await peer.shake_hands(request(Sec_WebSocket_Extensions=offer))
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


async def test_any_path_will_do(door: Door) -> None:
    """A proxy before the server may route by it."""
    async with door.dialled() as peer:
        assert (await peer.shake_hands(request("/game/socket?shard=7"))).status == 101


async def test_the_first_command_may_come_with_the_handshake(door: Door) -> None:
    """A client that does not wait for the answer is served all the same."""
    async with door.dialled() as peer:
        hello = frame(BINARY, command(1, "time.now"))
        assert (await peer.shake_hands(request() + hello)).status == 101
        assert (await peer.message())[:2] == [1, 1]


async def test_a_handshake_may_come_byte_by_byte(door: Door) -> None:
    """As long as it is in time."""
    async with door.dialled() as peer:
        for byte in request()[:-1]:
            peer.send(bytes([byte]))
            await peer.writer.drain()
        assert (await peer.shake_hands(b"\n")).status == 101


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
    ],
)
async def test_what_is_no_websocket_handshake_gets_a_status(
    door: Door, data: bytes, status: int
) -> None:
    """And the connection ends."""
    async with door.dialled() as peer:
        assert (await peer.shake_hands(data)).status == status
        assert await peer.end() == b""


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n\r\n", b"GET / \r\n\r\n", b"\x00\r\n\r\n"]
)
async def test_what_is_no_http_is_dropped(door: Door, data: bytes) -> None:
    """There is nobody to answer."""
    async with door.dialled() as peer:
        peer.send(data, b"\r\n")
        assert await peer.end() == b""


@pytest.mark.parametrize("form", ["/?key={}", "/{}", "/?key=%6bst_{}"])
async def test_a_key_in_the_url_is_refused_and_not_logged(
    door: Door, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    """400 says what to do instead; the log of the refusal has the address and no more."""
    caplog.set_level(logging.DEBUG)
    key = await door.node.open_session()
    async with door.dialled() as peer:
        answer = await peer.shake_hands(request(form.format(key)))
        assert answer.status == 400
        assert "Never put a session key in a URL" in answer.body
    assert "connection refused" in caplog.text
    secret = key.rpartition(":")[2]
    assert secret not in caplog.text
    assert secret not in answer.body


async def test_a_page_must_come_from_the_same_host_by_default(door: Door) -> None:
    """No Origin passes, the own one passes, any other and two of them do not."""
    host = f"127.0.0.1:{door.port}"
    for origin, status in (
        (None, 101),
        (f"http://{host}", 101),
        ("http://127.0.0.1:1", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ([f"http://{host}"] * 2, 403),
    ):
        async with door.dialled() as peer:
            assert (await peer.shake_hands(request(Host=host, Origin=origin))).status == status


async def test_pages_can_be_listed() -> None:
    """Those of the list pass, exactly."""
    async with listening(origins=OriginPolicy(frozenset({"https://game.example"}))) as door:
        for origin, status in (("https://game.example", 101), ("http://game.example", 403)):
            async with door.dialled() as peer:
                assert (await peer.shake_hands(request(Origin=origin))).status == status


@pytest.mark.parametrize(
    ("limits", "status"),
    [(ConnectionLimits(total=2), 503), (ConnectionLimits(per_address=2), 429)],
)
async def test_a_full_house_says_when_to_come_back(
    limits: ConnectionLimits, status: int
) -> None:
    """503 of a full node, 429 for one address; and there is room again when somebody leaves."""
    async with listening(limits=limits) as door:
        async with door.connected(), door.connected(), door.dialled() as third:
            answer = await third.shake_hands()
            assert answer.status == status
            assert int(answer.headers["retry-after"]) > 0
            assert await third.end() == b""
        async with door.connected() as peer:
            assert (await peer.call("time.now"))[0] is None


async def test_who_was_refused_takes_no_room() -> None:
    """A client that stays on the line after its refusal keeps nobody out."""
    async with (
        listening(limits=ConnectionLimits(total=1)) as door,
        door.connected() as first,
        door.dialled() as second,
    ):
        assert (await second.shake_hands()).status == 503
        first.writer.close()
        await first.end()
        async with door.connected() as third:
            assert (await third.call("time.now"))[0] is None


async def test_a_slow_handshake_is_given_up() -> None:
    """However steadily it drips: at its deadline the connection is dropped."""
    async with listening(Timings(handshake_s=0.1)) as door, door.dialled() as peer:
        peer.send(request()[:-2])
        assert await peer.end() == b""


async def test_a_client_that_stays_after_its_refusal_is_dropped() -> None:
    """It was told; it has as long as a goodbye may take."""
    async with listening(Timings(close_s=0.1)) as door, door.dialled() as peer:
        await peer.shake_hands(request(Origin="https://evil.example"))
        assert await peer.end() == b""
        async with door.dialled() as other:
            other.send(b"no http\r\n\r\n")
            assert await other.end() == b""
