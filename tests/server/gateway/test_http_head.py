"""
The head of a request: what is well-formed, and how it may arrive.
"""

from http import HTTPStatus

import pytest

from keystay_server.gateway.http_head import MAX_HEAD_BYTES, HeadReader, RequestHead
from keystay_server.gateway.refusals import Reason, Refusal, Refused

GET = b"GET /game?x=1 HTTP/1.1\r\nHost: h\r\n"


def read(data: bytes) -> tuple[RequestHead, bytes] | None:
    """Feed all at once."""
    return HeadReader().feed(data)


def refusal_of(data: bytes) -> Refusal:
    """The refusal of these bytes: the same, all at once and byte by byte."""
    with pytest.raises(Refused) as at_once:
        read(data)
    with pytest.raises(Refused) as dripping:
        drip(data)
    assert at_once.value.refusal.reason == dripping.value.refusal.reason
    return at_once.value.refusal


def drip(data: bytes) -> None:
    """Feed byte by byte."""
    reader = HeadReader()
    for byte in data:
        assert reader.feed(bytes([byte])) is None


def test_a_head_is_a_method_a_target_a_version_and_fields() -> None:
    """Names in lower case, values without the space around them, in their order."""
    result = read(GET + b"X-A:  1 \r\nx-a:\r\nConnection: keep-alive, Upgrade\r\n\r\nrest")
    assert result is not None
    head, rest = result
    assert (head.method, head.target, head.version) == ("GET", "/game?x=1", "1.1")
    assert head.all("x-a") == ["1", ""]
    assert head.elements("connection") == ["keep-alive", "Upgrade"]
    assert head.elements("absent") == []
    assert rest == b"rest"


def test_a_head_may_arrive_in_pieces() -> None:
    """Cut at each byte; it has begun with the first one."""
    data = GET + b"\r\n"
    for cut in range(1, len(data)):
        reader = HeadReader()
        assert not reader.has_begun
        assert reader.feed(data[:cut]) is None
        assert reader.has_begun
        assert reader.feed(data[cut:] + b"x") == read(data + b"x")


@pytest.mark.parametrize(
    "data",
    [
        GET.replace(b"\r\n", b"\n") + b"\n",
        GET + b"A: b\nC: d\r\n\r\n",
        GET + b"A: b\rC: d\r\n\r\n",
        GET + b"A: b\r\n c\r\n\r\n",
        GET + b"A: b\r\n\tc\r\n\r\n",
        GET + b"A: b\x00c\r\n\r\n",
        GET + b"A: b\x7f\r\n\r\n",
        GET + b"A : b\r\n\r\n",
        GET + b"A\r\n\r\n",
        GET + b": b\r\n\r\n",
        GET + b"\xc3\xa4: b\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b" GET / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET / HTTP/11\r\n\r\n",
        b"GET / HTTP/1.1\rHost: h\r\n\r\n",
    ],
)
def test_a_malformed_head_is_a_bad_request(data: bytes) -> None:
    """400, whose text says what is malformed without repeating it."""
    refusal = refusal_of(data)
    assert (refusal.reason, refusal.status) == (Reason.MALFORMED, HTTPStatus.BAD_REQUEST)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", HTTPStatus.REQUEST_URI_TOO_LONG),
        (b"\x00" * 9000, HTTPStatus.REQUEST_URI_TOO_LONG),
        (GET + b"A: " + b"x" * 9000, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (GET + b"A: b\r\n" * 200 + b"\r\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (
            GET + (b"A: " + b"x" * 5000 + b"\r\n") * 4 + b"\r\n",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
    ],
)
def test_a_large_head_is_refused(data: bytes, status: HTTPStatus) -> None:
    """A line of more than 8 KiB, more than 128 fields, more than 16 KiB in all."""
    refusal = refusal_of(data)
    assert (refusal.reason, refusal.status) == (Reason.TOO_LARGE, status)


def test_a_head_may_have_16_kib() -> None:
    """Not a byte more."""
    data = GET + (b"A: " + b"x" * 8000 + b"\r\n") * 2 + b"B: \r\n\r\n"
    data = data.replace(b"B: ", b"B: " + b"x" * (MAX_HEAD_BYTES - len(data)))
    assert len(data) == MAX_HEAD_BYTES
    assert read(data) is not None
    assert refusal_of(data.replace(b"B:", b"B: ")).reason is Reason.TOO_LARGE


def test_a_refused_head_is_not_kept() -> None:
    """What was refused takes no memory while the answer is read."""
    reader = HeadReader()
    with pytest.raises(Refused):
        reader.feed(GET + b"A: " + b"x" * 100_000)
    assert not reader.has_begun


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x16\x03"])
def test_tls_is_recognised(data: bytes) -> None:
    """By its first two bytes: the client uses wss:// where there is no TLS."""
    refusal = refusal_of(data)
    assert (refusal.reason, refusal.status) == (Reason.TLS, None)


@pytest.mark.parametrize(
    "data",
    [b"\r\n\r\n", b"no http\r\n\r\n", b"GET / \r\n", b"\x00\r\n", b"PROXY TCP4 1.1.1.1\r\n"],
)
def test_other_protocols_get_no_answer(data: bytes) -> None:
    """HTTP begins with a line that has the version of HTTP in it."""
    refusal = refusal_of(data)
    assert (refusal.reason, refusal.status) == (Reason.NOT_HTTP, None)
