"""
The checks of settings, of one and of several together.
"""

from typing import Any

import pytest

from keystay_server.settings.addresses import parse_address
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dev", 1),
        ("dev", "yes please"),
        ("max_in_flight", 1.5),
        ("max_in_flight", True),
        ("max_in_flight", "many"),
        ("max_in_flight", -1),
        ("max_in_flight", 0),
        ("ttl_s", True),
        ("ttl_s", "soon"),
        ("ttl_s", -1.0),
        ("ttl_s", 0),
        ("ttl_s", float("inf")),
        ("ttl_s", float("nan")),
        ("origins", 7),
        ("origins", [7]),
        ("store", 7),
        ("listen", 8330),
        ("listen", "8330"),
        ("listen", "localhost"),
        ("listen", ":8330"),
        ("listen", "localhost:65536"),
        ("listen", "localhost:-1"),
        ("listen", "localhost:http"),
        ("listen", "localhost:\u0661"),
        ("control", "localhost"),
        ("command_timeout_s", 0),
        ("handshake_timeout_s", 0),
        ("close_timeout_s", 0),
        ("history_events", 0),
        ("max_message_depth", 0),
        ("max_message_bytes", 1023),
        ("max_outbox_bytes", 0),
        ("policy", "few"),
        ("policy", "limit"),
        ("policy", "limit:0"),
        ("policy", "limit:-1"),
        ("policy", "deny:\u0663"),
        ("policy", "single:2"),
        ("app_version", "1\n2"),
        ("app_version", "v" * 65),
        ("webhook_url", "http://a b/"),
        ("webhook_url", "http://a/\n"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_wrong_value_is_an_error_in_one_line(name: str, value: Any) -> None:
    """The message begins with the name of the setting."""
    with pytest.raises(ConfigError) as error:
        load({name: value}, None, {})
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)


def test_tls_takes_both_halves() -> None:
    """A certificate without its key, or the reverse, names what is missing."""
    with pytest.raises(ConfigError, match=r"^tls_key: "):
        Config(tls_cert="cert.pem")
    with pytest.raises(ConfigError, match=r"^tls_cert: "):
        Config(tls_key="key.pem")
    with pytest.raises(ConfigError, match=r"^control_tls_key: "):
        Config(control_tls_cert="cert.pem")
    with pytest.raises(ConfigError, match=r"^control_tls_cert: "):
        Config(control_tls_key="key.pem")


@pytest.mark.parametrize(
    ("address", "tls", "clear", "secure"),
    [("listen", "tls", "ws", "wss"), ("control", "control_tls", "http", "https")],
)
def test_the_scheme_of_an_address_fits_its_tls(
    address: str, tls: str, clear: str, secure: str
) -> None:
    """An address may be a URL; `wss` and `https` need a certificate."""
    halves = {f"{tls}_cert": "c.pem", f"{tls}_key": "k.pem"}
    for scheme, settings in ((clear, {}), (secure, halves)):
        url = f"{scheme}://127.0.0.1:8331/"
        assert parse_address(
            address, getattr(load({address: url, **settings}, None, {}), address)
        )
    for scheme, settings, word in (
        *((secure, {}, "without"), (clear, halves, "with")),
        *(("ftp", {}, "without"), ("ftp", halves, "with")),
    ):
        text = f"^{address}: cannot be {scheme}:// {word} {tls}_cert, in --{address}$"
        with pytest.raises(ConfigError, match=text):
            load({address: f"{scheme}://127.0.0.1:8331", **settings}, None, {})


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"webhook_url": "ftp://example.com"}, "webhook_url"),
        ({"webhook_url": "http://"}, "webhook_url"),
        ({"webhook_url": "http://[::1"}, "webhook_url"),
        ({"webhook_url": "http://x:port"}, "webhook_url"),
        ({"webhook_url": "http://xn--/hook"}, "webhook_url"),
        ({"webhook_url": "http://é…。/hook"}, "webhook_url"),
        ({"webhook_url": "http://999.1.1.1/hook"}, "webhook_url"),
        ({"webhook_url": "https://example.com/hook"}, "webhook_secret_file"),
        ({"webhook_url": "http://x", "webhook_secret_file": "s", "feed": "false"}, "feed"),
        ({"webhook_timeout_s": "0"}, "webhook_timeout_s"),
    ],
)
def test_a_webhook_needs_a_url_a_secret_and_the_feed(flags: dict[str, str], named: str) -> None:
    """The error names the one that is missing or wrong."""
    with pytest.raises(ConfigError, match=f"^{named}: "):
        load(flags, None, {})


@pytest.mark.parametrize("store", ["sqlite:///keystay.db", "memory://"])
def test_an_embedded_store_has_one_process(store: str) -> None:
    """The reason is said, and what to use instead; Redis takes any number."""
    with pytest.raises(ConfigError, match=r"workers: .* use Redis or Valkey"):
        Config(store=store, workers=2)
    assert Config(store=store, workers=1).workers == 1
    assert Config(store="redis://127.0.0.1", workers=8).workers == 8
