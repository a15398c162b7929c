"""
From the head of a request to the answer.
"""

from http import HTTPStatus

import pytest

from keystay_server.gateway.handshake import (
    Health,
    Upgrade,
    encode_refusal,
    refusal_of_limit,
    respond,
)
from keystay_server.gateway.http_head import HeadReader, RequestHead
from keystay_server.gateway.limits import Full
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.refusals import Reason, Refusal, Refused
from tests.support.server.raw_peer import request

HOST = "localhost"
NODE_FULL = refusal_of_limit(Full.NODE)


def head_of(data: bytes) -> RequestHead:
    """The head in these bytes."""
    read = HeadReader().feed(data)
    assert read is not None
    return read[0]


def accepted(data: bytes, limit: Refusal | None = None) -> Upgrade | Health:
    """The answer to a request that is not refused."""
    return respond(head_of(data), OriginPolicy(), limit)


def refusal_of(data: bytes, limit: Refusal | None = None) -> Refusal:
    """The refusal of a request."""
    with pytest.raises(Refused) as refused:
        accepted(data, limit)
    return refused.value.refusal


def test_the_accept_is_computed_from_the_key() -> None:
    """With the example of RFC 6455, section 1.3."""
    assert accepted(request()) == Upgrade("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", None)


def test_a_correct_request_is_accepted() -> None:
    """Any path: a proxy may have changed it; tokens in any case, among others."""
    for path in ("/", "/any/path", "/?v=1", "http://h/x", "/healthz"):
        assert isinstance(accepted(request(path)), Upgrade)
    tokens = request(Upgrade="WebSocket", Connection="keep-alive, upgrade")
    assert isinstance(accepted(tokens), Upgrade)
    assert isinstance(accepted(request(Content_Length="0")), Upgrade)


@pytest.mark.parametrize(
    ("data", "reason", "status"),
    [
        (request(Upgrade=None), Reason.NOT_WEBSOCKET, 426),
        (request(Upgrade="h2c"), Reason.NOT_WEBSOCKET, 426),
        (request(Upgrade="websocket, h2c"), Reason.NOT_WEBSOCKET, 426),
        (request(Connection="keep-alive"), Reason.NOT_WEBSOCKET, 426),
        (request(Sec_WebSocket_Version="8"), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Version=["13", "13"]), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Key=None), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Key="short"), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=é"), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Key=["dGhlIHNhbXBsZSBub25jZQ=="] * 2), Reason.MALFORMED, 400),
        (request(Sec_WebSocket_Protocol="keystay.v2"), Reason.SUBPROTOCOL, 400),
        (request(Content_Length="5"), Reason.MALFORMED, 400),
        (request(Content_Length=["0", "5"]), Reason.MALFORMED, 400),
        (request(Transfer_Encoding="chunked"), Reason.MALFORMED, 400),
        (request(Host=None), Reason.MALFORMED, 400),
        (request(Host=""), Reason.MALFORMED, 400),
        (request(Host=[HOST, "evil.example"]), Reason.MALFORMED, 400),
        (request(Host="local host"), Reason.MALFORMED, 400),
        (request(Host="user@localhost"), Reason.MALFORMED, 400),
        (request().replace(b"GET", b"POST", 1), Reason.METHOD, 405),
        (request().replace(b"GET", b"HEAD", 1), Reason.METHOD, 405),
        (request().replace(b"HTTP/1.1", b"HTTP/1.0", 1), Reason.HTTP_VERSION, 505),
        (request().replace(b"HTTP/1.1", b"HTTP/2.0", 1), Reason.HTTP_VERSION, 505),
        (b"PRI * HTTP/2.0\r\n\r\n", Reason.HTTP_VERSION, 505),
        (request(Origin=[f"http://{HOST}"] * 2), Reason.ORIGIN, 403),
        (request(Origin="https://evil.example"), Reason.ORIGIN, 403),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n",
            Reason.ORIGIN,
            403,
        ),
    ],
)
def test_each_refusal_has_a_reason_and_a_status(
    data: bytes, reason: Reason, status: int
) -> None:
    """And a text, which has nothing of the request in it but the Origin."""
    refusal = refusal_of(data)
    assert (refusal.reason, refusal.status) == (reason, status)
    assert refusal.text


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (request(Upgrade=None), ("Upgrade", "websocket")),
        (request().replace(b"GET", b"POST", 1), ("Allow", "GET, HEAD")),
        (request(Sec_WebSocket_Version="8"), ("Sec-WebSocket-Version", "13")),
    ],
)
def test_a_refusal_has_the_header_of_its_status(data: bytes, header: tuple[str, str]) -> None:
    """As RFC 9110 and RFC 6455 require it."""
    assert header in refusal_of(data).headers


@pytest.mark.parametrize(
    "path",
    [
        "/?key=alice:kst_" + "A" * 43,
        "/alice:kst_" + "A" * 43,
        "/?key=alice%3Akst_AAA",
        "/?key=alice%3akst%5fAAA",
        "/kst_",
        "/healthz?kst_",
    ],
)
def test_a_key_in_the_url_is_refused(path: str) -> None:
    """400; the text says what to do instead, without the key."""
    refusal = refusal_of(request(path))
    assert (refusal.reason, refusal.status) == (Reason.KEY_IN_URL, HTTPStatus.BAD_REQUEST)
    assert "Never put a session key in a URL" in refusal.text
    assert "kst" not in refusal.text


@pytest.mark.parametrize(
    ("data", "has_body"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"GET /healthz?from=balancer HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"GET /healthz HTTP/1.0\r\n\r\n", True),
        (b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n", False),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", False),
        (b"HEAD / HTTP/1.0\r\n\r\n", False),
    ],
)
def test_a_health_check_is_answered(data: bytes, *, has_body: bool) -> None:
    """`GET /healthz` and HEAD: 200, also on a full node, and no more while it stops."""
    for limit in (None, NODE_FULL):
        answer = accepted(data, limit)
        assert answer == Health(has_body)
        assert answer.encode().startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.encode().endswith(b"\r\n\r\nok\n" if has_body else b"\r\n\r\n")
    refusal = refusal_of(data, refusal_of_limit(Full.DRAINING))
    assert (refusal.reason, refusal.status) == (Reason.DRAINING, 503)


def test_other_paths_are_no_health_check() -> None:
    """426: a browser that opens the URL of the server is told what it is."""
    for path in (b"/", b"/healthz/x", b"/livez"):
        refusal = refusal_of(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert refusal.reason is Reason.NOT_WEBSOCKET
        assert "this is a WebSocket server" in refusal.text


@pytest.mark.parametrize(
    ("full", "status"),
    [
        (Full.NODE, HTTPStatus.SERVICE_UNAVAILABLE),
        (Full.ADDRESS, HTTPStatus.TOO_MANY_REQUESTS),
        (Full.DESCRIPTORS, HTTPStatus.SERVICE_UNAVAILABLE),
        (Full.DRAINING, HTTPStatus.SERVICE_UNAVAILABLE),
    ],
)
def test_a_refusal_for_load_has_a_retry_after(full: Full, status: HTTPStatus) -> None:
    """503 of a full node, 429 for an address with too many."""
    refusal = refusal_of_limit(full)
    assert refusal.status is status
    answer = encode_refusal(refusal, status)
    assert answer.startswith(f"HTTP/1.1 {status.value} ".encode())
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert answer.endswith(f"\r\n\r\n{refusal.text}\n".encode())
