"""
Which requests may open a WebSocket.
"""

from http import HTTPStatus

import pytest

from keystay_server.gateway.handshake import (
    OriginPolicy,
    refusal_of_load,
    refusal_of_request,
)
from keystay_server.gateway.limits import Full

HOST = "play.example:8330"
SAME_HOST = OriginPolicy()
LISTED = OriginPolicy(frozenset({"https://game.example", "http://other.example:8080"}))
DEV = OriginPolicy(loopback=True)
ANYBODY = OriginPolicy(frozenset({"*"}))

# What no browser sends: text that is no origin.
NONSENSE = [
    "",
    "null",
    "http://[",
    "http://[::1",
    "//",
    "http://a@b:c@d",
    "\x00",
    "é",
    "http://",
]


@pytest.mark.parametrize("policy", [SAME_HOST, LISTED, DEV, ANYBODY])
def test_a_request_without_origin_is_accepted(policy: OriginPolicy) -> None:
    """It comes from a program: only browsers send Origin."""
    assert policy.admits(None, HOST)
    assert policy.admits(None, None)


@pytest.mark.parametrize(
    ("origin", "is_admitted"),
    [
        ("http://play.example:8330", True),
        ("https://play.example:8330", True),
        ("https://PLAY.example:8330", True),
        ("https://play.example", False),
        ("https://play.example:8331", False),
        ("https://evil.example", False),
        ("https://play.example:8330.evil.example", False),
        ("https://evil.example/play.example:8330", False),
        ("https://evil.example#play.example:8330", False),
        ("https://play.example:8330@evil.example", False),
        ("http://localhost", False),
    ],
)
def test_a_page_must_come_from_the_host_it_connects_to(
    origin: str, *, is_admitted: bool
) -> None:
    """Without a list: the same host and port, whatever the scheme; a proxy may do TLS."""
    assert SAME_HOST.admits(origin, HOST) is is_admitted


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_no_page_is_accepted(host: str | None) -> None:
    """There is nothing to compare with."""
    for origin in ("https://play.example", *NONSENSE):
        assert not SAME_HOST.admits(origin, host)


@pytest.mark.parametrize(
    ("origin", "is_admitted"),
    [
        ("https://game.example", True),
        ("http://other.example:8080", True),
        ("http://game.example", False),
        ("https://game.example:443", False),
        ("https://game.example.evil.example", False),
        ("http://play.example:8330", False),
    ],
)
def test_a_list_of_origins_is_exact(origin: str, *, is_admitted: bool) -> None:
    """Scheme, host and port as listed; the server's own host is no exception."""
    assert LISTED.admits(origin, HOST) is is_admitted


@pytest.mark.parametrize(
    ("origin", "is_admitted"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:5173", True),
        ("http://[::1]:5173", True),
        ("http://app.localhost", True),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://evil.example", False),
        ("http://10.0.0.1", False),
        ("null", False),
    ],
)
def test_development_accepts_pages_of_this_machine(origin: str, *, is_admitted: bool) -> None:
    """Any port of loopback, and nothing that only looks like it."""
    assert DEV.admits(origin, HOST) is is_admitted
    assert not LISTED.admits("http://localhost:3000", HOST)


@pytest.mark.parametrize("origin", NONSENSE)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    """Like a wrong one, without an exception."""
    for policy in (SAME_HOST, LISTED, DEV):
        assert not policy.admits(origin, HOST)
    assert ANYBODY.admits(origin, HOST)


def test_a_correct_request_is_not_refused() -> None:
    """Any path is accepted: a proxy may have changed it."""
    for path in ("/", "/any/path", "/?v=1"):
        assert refusal_of_request(path, [], [HOST], SAME_HOST) is None


@pytest.mark.parametrize(
    "path",
    [
        "/?key=alice:kst_" + "A" * 43,
        "/alice:kst_" + "A" * 43,
        "/?key=alice%3Akst_AAA",
        "/?key=alice%3akst%5fAAA",
        "/kst_",
    ],
)
def test_a_key_in_the_url_is_refused(path: str) -> None:
    """400, and the body says what to do instead, without repeating the key."""
    refusal = refusal_of_request(path, [], [HOST], SAME_HOST)
    assert refusal is not None
    assert refusal.status is HTTPStatus.BAD_REQUEST
    assert "Never put a session key in a URL" in refusal.text
    assert "kst" not in refusal.text


def test_two_of_a_header_are_refused() -> None:
    """More than one Host is not HTTP; more than one Origin is not a browser."""
    refusal = refusal_of_request("/", [], [HOST, "evil.example"], SAME_HOST)
    assert refusal is not None
    assert refusal.status is HTTPStatus.BAD_REQUEST
    same = f"http://{HOST}"
    assert refusal_of_request("/", [same], [HOST], SAME_HOST) is None
    refusal = refusal_of_request("/", [same, same], [HOST], ANYBODY)
    assert refusal is not None
    assert refusal.status is HTTPStatus.FORBIDDEN


def test_a_refused_page_gets_the_name_of_the_setting() -> None:
    """403, with `origins` in the body."""
    refusal = refusal_of_request("/", ["https://evil.example"], [HOST], SAME_HOST)
    assert refusal is not None
    assert refusal.status is HTTPStatus.FORBIDDEN
    assert "origins" in refusal.text


@pytest.mark.parametrize(
    ("full", "status"),
    [
        (Full.NODE, HTTPStatus.SERVICE_UNAVAILABLE),
        (Full.ADDRESS, HTTPStatus.TOO_MANY_REQUESTS),
    ],
)
def test_a_refusal_for_load_has_a_retry_after(full: Full, status: HTTPStatus) -> None:
    """503 of a full node, 429 for an address with too many."""
    refusal = refusal_of_load(full)
    assert refusal.status is status
    assert refusal.retry_after_s
