"""Which proxy a connection uses, by the environment, and what an error says about it."""

import pytest

from keystay._proxy import displayed, proxy_for

PROXY = "http://user:hunter2@proxy.example:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any proxy variable."""
    for name in ("ALL", "HTTP", "HTTPS", "NO", "SOCKS", "WS", "WSS"):
        monkeypatch.delenv(f"{name}_PROXY", raising=False)
        monkeypatch.delenv(f"{name.lower()}_proxy", raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["ws_proxy", "https_proxy", "http_proxy", "HTTP_PROXY"])
def test_an_unencrypted_connection_uses_the_variable(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    """`ws_proxy` first, then those for HTTP, in either case."""
    environment.setenv(name, PROXY)
    assert proxy_for("game.example", 80, is_secure=False) == PROXY


@pytest.mark.parametrize(("name", "is_used"), [("wss_proxy", True), ("http_proxy", False)])
def test_an_encrypted_connection_uses_the_variable(
    environment: pytest.MonkeyPatch, name: str, is_used: bool
) -> None:
    """A proxy for plain HTTP is not one for TLS."""
    environment.setenv(name, PROXY)
    assert (proxy_for("game.example", 443, is_secure=True) == PROXY) is is_used


def test_without_a_variable_there_is_no_proxy() -> None:
    """The connection is direct."""
    assert proxy_for("game.example", 443, is_secure=True) is None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.8.8", "::1"]
)
def test_loopback_is_direct(environment: pytest.MonkeyPatch, host: str) -> None:
    """No proxy can reach this machine's own loopback."""
    environment.setenv("http_proxy", PROXY)
    assert proxy_for(host, 8330, is_secure=False) is None


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("*", "game.example"),
        ("game.example", "game.example"),
        ("game.example:80", "game.example"),
        (".example", "game.example"),
        ("other, example", "game.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.7"),
        ("192.0.2.0/24,other", "192.0.2.7"),
        ("2001:db8::/32", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
    ],
)
def test_no_proxy_is_kept(environment: pytest.MonkeyPatch, no_proxy: str, host: str) -> None:
    """By name, suffix, port, address or network."""
    environment.setenv("http_proxy", PROXY)
    environment.setenv("no_proxy", no_proxy)
    assert proxy_for(host, 80, is_secure=False) is None


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("", "game.example"),
        ("ample", "game.example"),
        ("game.example:81", "game.example"),
        ("192.0.2.0/24", "192.0.3.7"),
        ("192.0.2.0/24", "192.example"),
        ("2001:db8::/32", "192.0.2.7"),
        ("not/a/network", "192.0.2.7"),
    ],
)
def test_no_proxy_of_others(environment: pytest.MonkeyPatch, no_proxy: str, host: str) -> None:
    """What it does not name goes through the proxy."""
    environment.setenv("http_proxy", PROXY)
    environment.setenv("no_proxy", no_proxy)
    assert proxy_for(host, 80, is_secure=False) == PROXY


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        (PROXY, "http://proxy.example:3128"),
        ("socks5h://proxy.example", "socks5h://proxy.example"),
        ("http://user:hunter2@[::1]:8080/x?y=hunter2", "http://[::1]:8080"),
        ("user:hunter2@proxy.example:8080", "(not a URL)"),
        ("http://hunter2:hunter2:hunter2", "(not a URL)"),
    ],
)
def test_a_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    """Scheme, host and port tell which one it is."""
    assert displayed(proxy) == shown
