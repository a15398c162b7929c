"""
Which pages may connect.
"""

from http import HTTPStatus

import pytest

from keystay_server.gateway.origin_policy import MAX_SHOWN, OriginPolicy
from keystay_server.gateway.refusals import Reason

HOST = "play.example:8330"
SAME_HOST = OriginPolicy()
LISTED = OriginPolicy.of(["https://Game.example/", "http://other.example:8080"])
WILDCARD = OriginPolicy.of(["https://*.example.org"])
DEV = OriginPolicy.of([], dev=True)
ANYBODY = OriginPolicy.of(["*"])

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


def admits(policy: OriginPolicy, origin: str | None, host: str | None) -> bool:
    """Whether a page may connect."""
    return policy.refusal(origin, host) is None


@pytest.mark.parametrize("policy", [SAME_HOST, LISTED, DEV, ANYBODY])
def test_a_request_without_origin_is_accepted(policy: OriginPolicy) -> None:
    """It comes from a program: only browsers send Origin."""
    assert admits(policy, None, HOST)
    assert admits(policy, None, None)


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
    assert admits(SAME_HOST, origin, HOST) is is_admitted


@pytest.mark.parametrize(
    ("origin", "host", "is_admitted"),
    [
        ("https://h", "h:443", True),
        ("https://h:443", "h", True),
        ("http://h", "h:80", True),
        ("https://h", "H", True),
        ("https://h", "h:80", False),
        ("http://h", "h:443", False),
        ("file://", "", False),
    ],
)
def test_a_default_port_may_be_written_or_not(
    origin: str, host: str, *, is_admitted: bool
) -> None:
    """`https://h` with `Host: h:443`, as some proxies write it, is the same host."""
    assert admits(SAME_HOST, origin, host) is is_admitted


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_no_page_is_accepted(host: str | None) -> None:
    """There is nothing to compare with."""
    for origin in ("https://play.example", *NONSENSE):
        assert not admits(SAME_HOST, origin, host)


@pytest.mark.parametrize(
    ("origin", "is_admitted"),
    [
        ("https://game.example", True),
        ("https://game.example:443", True),
        ("http://other.example:8080", True),
        ("http://game.example", False),
        ("https://game.example.evil.example", False),
        ("http://play.example:8330", False),
    ],
)
def test_a_list_of_origins_is_exact(origin: str, *, is_admitted: bool) -> None:
    """Scheme, host and port as listed; the server's own host is no exception."""
    assert admits(LISTED, origin, HOST) is is_admitted


def test_a_wildcard_accepts_subdomains() -> None:
    """And not the domain itself."""
    assert admits(WILDCARD, "https://game.example.org", HOST)
    assert not admits(WILDCARD, "https://example.org", HOST)


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
    assert admits(DEV, origin, HOST) is is_admitted
    assert not admits(LISTED, "http://localhost:3000", HOST)


@pytest.mark.parametrize("host", ["evil.example:8330", "evil.example", "10.0.0.1:8330"])
def test_in_development_the_same_host_must_be_loopback(host: str) -> None:
    """A name of an attacker that points to this machine would be the same host, too."""
    refusal = DEV.refusal(f"http://{host}", host)
    assert refusal is not None
    assert (refusal.reason, refusal.status) == (Reason.HOST, HTTPStatus.FORBIDDEN)
    assert admits(OriginPolicy.of([f"http://{host}"], dev=True), f"http://{host}", host)
    for loopback in ("localhost:8330", "127.0.0.1:8330", "[::1]:8330"):
        assert admits(DEV, f"http://{loopback}", loopback)


@pytest.mark.parametrize("origin", NONSENSE)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    """Like a wrong one, without an exception."""
    for policy in (SAME_HOST, LISTED, DEV):
        assert not admits(policy, origin, HOST)
    assert admits(ANYBODY, origin, HOST)


@pytest.mark.parametrize("policy", [SAME_HOST, LISTED, DEV])
def test_a_refusal_names_the_origin_and_the_setting(policy: OriginPolicy) -> None:
    """403; the text is for the log and for the client."""
    refusal = policy.refusal("https://app.example", HOST)
    assert refusal is not None
    assert (refusal.reason, refusal.status) == (Reason.ORIGIN, HTTPStatus.FORBIDDEN)
    assert refusal.text.startswith("Origin https://app.example is not in origins")


def test_a_refusal_shows_no_secret_and_no_control_characters() -> None:
    """An Origin is chosen by the client: it is shortened, and made ASCII."""
    for origin, text in (
        ("https://alice:kst_" + "A" * 43, "(with a session key)"),
        ("https://\x9b31m", "https://\\x9b31m is"),
        ("x" * 5000, "x" * MAX_SHOWN + "..."),
    ):
        refusal = LISTED.refusal(origin, HOST)
        assert refusal is not None
        assert text in refusal.text
        assert "kst_" not in refusal.text
        assert len(refusal.text) < 300
