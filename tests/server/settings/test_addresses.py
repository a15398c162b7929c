"""
Addresses in settings: HOST:PORT.
"""

import pytest

from keystay_server.settings.addresses import is_loopback, parse_address
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:65535", "localhost", 65535),
        ("[::1]:8330", "::1", 8330),
        ("http://127.0.0.1:8331/", "127.0.0.1", 8331),
    ],
)
def test_an_address_is_host_and_port(address: str, host: str, port: int) -> None:
    """An IPv6 host is in brackets; a URL is accepted."""
    assert parse_address("listen", address) == (host, port)


def test_a_user_in_an_address_is_not_shown() -> None:
    """A URL with a password is no address; the error does not contain the password."""
    with pytest.raises(ConfigError, match="is not HOST:PORT, in KEYSTAY_CONTROL") as error:
        load({}, None, {"KEYSTAY_CONTROL": "http://me:hunter2@127.0.0.1:8331"})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "host",
    ["localhost", "app.LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"],
)
def test_loopback_is_this_machine(host: str) -> None:
    """Names under `localhost`, and the addresses of loopback."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example", "0.0.0.0", "10.0.0.1", "::"])
def test_any_other_host_is_not_loopback(host: str | None) -> None:
    """Also where it only looks like it."""
    assert not is_loopback(host)
