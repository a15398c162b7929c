"""
Every setting, and where its value comes from.
"""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from keystay_server.sessions.policy import parse_policy
from keystay_server.settings.addresses import parse_address
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load
from keystay_server.stores.base import Policy


def from_file(directory: Path, text: str) -> Config:
    """Read a configuration from a file alone."""
    path = directory / "keystay.toml"
    path.write_text(text, encoding="utf-8")
    return load({}, str(path), {})


def test_nothing_has_to_be_set() -> None:
    """The defaults are a server for this machine, with its sessions in a file."""
    config = load({}, None, {})
    assert config == Config()
    assert (config.listen, config.control) == ("127.0.0.1:8330", "127.0.0.1:8331")
    assert config.store == "sqlite:///keystay.db"
    assert not config.dev


def test_a_later_source_wins(tmp_path: Path) -> None:
    """Defaults, then the file, then the environment, then the flags."""
    path = tmp_path / "keystay.toml"
    path.write_text("ttl_s = 1\nmax_age_s = 1\nmax_in_flight = 1\n")
    environment = {"KEYSTAY_MAX_AGE_S": "2", "KEYSTAY_MAX_IN_FLIGHT": "2"}
    config = load({"max_in_flight": "3"}, str(path), environment)
    assert (config.ttl_s, config.max_age_s, config.max_in_flight) == (1.0, 2.0, 3)
    assert config.history_s == Config().history_s


@pytest.mark.parametrize("setting", fields(Config), ids=lambda setting: setting.name)
def test_each_setting_can_come_from_each_source(tmp_path: Path, setting: Any) -> None:
    """One name everywhere: a key of the file, a variable, a flag."""
    name, default = setting.name, setting.default
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    toml = list(default) if isinstance(default, tuple) else default
    written = str(toml).lower() if isinstance(toml, bool) else repr(toml)
    assert from_file(tmp_path, f"{name} = {written}") == Config()
    assert load({}, None, {f"KEYSTAY_{name.upper()}": text}) == Config()
    assert load({name: default if isinstance(default, bool) else text}, None, {}) == Config()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("True", True), ("0", False), ("false", False)],
)
def test_a_switch_is_true_or_false(text: str, *, value: bool) -> None:
    """In the environment a switch is written as 1 or true, 0 or false."""
    assert load({}, None, {"KEYSTAY_DEV": text}).dev is value


def test_a_list_is_written_with_commas(tmp_path: Path) -> None:
    """Several origins are one text with commas, or an array in the file."""
    both = ("https://a.example", "https://b.example")
    text = "https://a.example, https://b.example,"
    assert load({}, None, {"KEYSTAY_ORIGINS": text}).origins == both
    assert load({"origins": text}, None, {}).origins == both
    assert from_file(tmp_path, f"origins = {list(both)!r}").origins == both


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("tll_s", "ttl_s"), ("max_conections", "max_connections"), ("colour", None)],
)
def test_an_unknown_setting_is_an_error(tmp_path: Path, name: str, nearest: str | None) -> None:
    """A slip of the pen never passes: the message names the setting that was meant."""
    attempts: list[Callable[[], Config]] = [
        lambda: from_file(tmp_path, f"{name} = 1"),
        lambda: load({}, None, {f"KEYSTAY_{name.upper()}": "1"}),
        lambda: load({name: "1"}, None, {}),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match=f"^{name}: no such setting") as error:
            attempt()
        assert ("did you mean" in str(error.value)) is (nearest is not None)
        assert nearest is None or f"did you mean {nearest}?" in str(error.value)


def test_variables_of_others_are_not_settings() -> None:
    """The API key is a secret of its own, and what is not `KEYSTAY_` is nobody's."""
    environment = {"KEYSTAY_API_KEY": "secret", "LISTEN": "x", "keystay_dev": "x"}
    assert load({}, None, environment) == Config()


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


def test_an_error_tells_the_source(tmp_path: Path) -> None:
    """Which file, which variable, which flag."""
    with pytest.raises(ConfigError, match=r"keystay\.toml"):
        from_file(tmp_path, "ttl_s = true")
    with pytest.raises(ConfigError, match="in KEYSTAY_TTL_S"):
        load({}, None, {"KEYSTAY_TTL_S": "soon"})
    with pytest.raises(ConfigError, match="in --ttl-s"):
        load({"ttl_s": "soon"}, None, {})


@pytest.mark.parametrize(
    ("text", "why"), [("ttl_s = ", "not TOML"), ("[ttl_s]\na = 1", "ttl_s")]
)
def test_a_file_that_makes_no_sense_is_an_error(tmp_path: Path, text: str, why: str) -> None:
    """A broken file, and a table where a value should be."""
    with pytest.raises(ConfigError, match=why):
        from_file(tmp_path, text)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The message says which and why."""
    with pytest.raises(ConfigError, match="No such file"):
        load({}, str(tmp_path / "missing.toml"), {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        load({}, str(binary), {})


def test_a_file_is_utf_8(tmp_path: Path) -> None:
    """As TOML says, whatever the language of the machine is."""
    config = from_file(tmp_path, 'store = "sqlite:///Sitzüng.db"')
    assert config.store == "sqlite:///Sitzüng.db"


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
    ("door", "tls", "clear", "secure"),
    [("listen", "tls", "ws", "wss"), ("control", "control_tls", "http", "https")],
)
def test_a_url_of_a_door_fits_its_tls(door: str, tls: str, clear: str, secure: str) -> None:
    """A door may be written as its clients write it, but never promises TLS that it has not."""
    halves = {f"{tls}_cert": "c.pem", f"{tls}_key": "k.pem"}
    for scheme, settings in ((clear, {}), (secure, halves)):
        url = f"{scheme}://127.0.0.1:8331/"
        assert parse_address(door, getattr(load({door: url, **settings}, None, {}), door))
    for scheme, settings, word in (
        *((secure, {}, "without"), (clear, halves, "with")),
        *(("ftp", {}, "without"), ("ftp", halves, "with")),
    ):
        text = f"^{door}: cannot be {scheme}:// {word} {tls}_cert, in --{door}$"
        with pytest.raises(ConfigError, match=text):
            load({door: f"{scheme}://127.0.0.1:8331", **settings}, None, {})


def test_a_user_in_an_address_is_not_shown() -> None:
    """A URL with a password in it is no address, and the error leaves the password out."""
    with pytest.raises(ConfigError, match="is not HOST:PORT, in KEYSTAY_CONTROL") as error:
        load({}, None, {"KEYSTAY_CONTROL": "http://me:hunter2@127.0.0.1:8331"})
    assert "hunter2" not in str(error.value)


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
    """An IPv6 host is in brackets; a URL will do."""
    assert parse_address("listen", address) == (host, port)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("many", Policy(None)),
        ("single", Policy(1)),
        ("limit:1", Policy(1)),
        ("limit:30", Policy(30)),
        ("deny:2", Policy(2, is_strict=True)),
    ],
)
def test_a_policy_is_a_word_and_a_number(text: str, policy: Policy) -> None:
    """`single` is `limit:1`; `deny` refuses what `limit` makes room for."""
    assert parse_policy(load({"policy": text}, None, {}).policy) == policy


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
def test_a_webhook_has_a_url_a_secret_and_a_feed(flags: dict[str, str], named: str) -> None:
    """Each of them is asked for by name."""
    with pytest.raises(ConfigError, match=f"^{named}: "):
        load(flags, None, {})


def test_a_value_that_may_be_a_secret_is_not_repeated() -> None:
    """An error about another setting never shows the store's password, nor does its own."""
    url = "redis://user:hunter2@localhost"
    for flags in ({"store": url, "ttl_s": "soon"}, {"store": ["redis://:hunter2@localhost"]}):
        with pytest.raises(ConfigError) as error:
            load(flags, None, {})
        assert "hunter2" not in str(error.value)
