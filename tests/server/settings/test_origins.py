"""
How origins are written and compared.
"""

import pytest

from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.origins import parse_header, parse_host, parse_setting


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://game.example", "https://game.example"),
        ("https://game.example/", "https://game.example"),
        ("HTTPS://Game.Example", "https://game.example"),
        ("https://game.example:443", "https://game.example"),
        ("http://game.example:80/", "http://game.example"),
        ("http://game.example:443", "http://game.example:443"),
        ("https://game.example:8443", "https://game.example:8443"),
        ("https://game.example.", "https://game.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ("https://*.Example.org", "https://*.example.org"),
        ("https://*.example.org:443/", "https://*.example.org"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ("file://", "file://"),
    ],
)
def test_an_origin_has_one_canonical_form(text: str, canonical: str) -> None:
    """Case, a default port, a final slash or dot, and the form of a name make no difference."""
    assert str(parse_setting(text)) == canonical
    assert Config(origins=(text,)).origins == (text,)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("wss://game.example", "https://game.example"),
        ("ws://game.example:8330", "http://game.example:8330"),
        ("https://game.example/app", "https://game.example"),
        ("https://game.example/?a=b", "https://game.example"),
        ("https://*.example.org/app", "https://*.example.org"),
    ],
)
def test_an_origin_that_never_matches_is_refused_with_the_right_form(
    text: str, right: str
) -> None:
    """An origin is the scheme, host and port of a page."""
    with pytest.raises(ConfigError, match=r"^origins: ") as error:
        Config(origins=(text,))
    assert f"write {right}" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "game.example",
        "//game.example",
        "://game.example",
        "https://",
        "https://*",
        "https://*.",
        "https://*game.example",
        "https://game.*",
        "https://app.*.example",
        "*.example.org",
        "https://me@game.example",
        "https://game.example:https",
        "https://game.example:65536",
        "https://game.example:0",
        "https://game.example?a",
        "https://game example",
        "https://-game.example",
        "https://game..example",
        "https://[::1",
        "https://[::x]",
        "null",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """The error says what an origin looks like."""
    with pytest.raises(ConfigError, match=r"^origins: .*https://HOST"):
        Config(origins=(text,))


@pytest.mark.parametrize("gap", [" ", ";", "|", ""])
def test_two_origins_in_one_text_are_refused(gap: str) -> None:
    """They are separated by commas, or elements of a list."""
    with pytest.raises(ConfigError, match="separate them with commas"):
        Config(origins=(f"https://a.example{gap}https://b.example",))


@pytest.mark.parametrize(
    ("pattern", "origin", "matches"),
    [
        ("https://*.example.org", "https://game.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://GAME.example.org:443", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://.example.org", False),
        ("https://*.example.org", "https://badexample.org", False),
        ("https://*.example.org", "https://game.example.org.evil.example", False),
        ("https://*.example.org", "http://game.example.org", False),
        ("https://*.example.org", "https://game.example.org:8443", False),
        ("https://*.example.org:8443", "https://game.example.org:8443", True),
        ("https://*.example.org", "https://*.example.org", False),
        ("https://game.example", "https://game.example:443", True),
        ("https://game.example", "https://GAME.example", True),
        ("https://game.example:443", "https://game.example", True),
        ("https://game.example", "http://game.example:443", False),
        ("https://game.example", "https://app.game.example", False),
    ],
)
def test_a_wildcard_stands_for_subdomains(pattern: str, origin: str, *, matches: bool) -> None:
    """Of any depth, of the same scheme and port; the domain itself is not one of them."""
    parsed = parse_header(origin)
    assert (parsed is not None and parse_setting(pattern).matches(parsed)) is matches


@pytest.mark.parametrize(
    ("host", "scheme", "origin", "is_same"),
    [
        ("h", "https", "https://h", True),
        ("h:443", "https", "https://h", True),
        ("h", "https", "https://h:443", True),
        ("H:443", "https", "https://h:443", True),
        ("h:80", "http", "http://h", True),
        ("[::1]:8330", "http", "http://[::1]:8330", True),
        ("h:80", "https", "https://h", False),
        ("h:8330", "http", "http://h", False),
    ],
)
def test_a_default_port_is_the_same_as_none(
    host: str, scheme: str, origin: str, *, is_same: bool
) -> None:
    """In `Host` and in `Origin`; `Host` has the default port of the page's scheme."""
    assert (parse_host(host, scheme) == parse_header(origin)) is is_same


@pytest.mark.parametrize(
    "text",
    ["", "null", "http://[", "http://[::1", "//", "http://a@b:c@d", "\x00", "é", "http://"],
)
def test_a_malformed_header_is_no_origin(text: str) -> None:
    """It equals nothing."""
    assert parse_header(text) is None
    assert parse_header(f"https://{text}") is None or text == "null"
