"""
Defaults, file, environment and flags: where the value of a setting comes from.
"""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load


def from_file(directory: Path, text: str) -> Config:
    """Read a configuration from a file alone."""
    path = directory / "keystay.toml"
    path.write_text(text, encoding="utf-8")
    return load({}, str(path), {})


def test_nothing_has_to_be_set() -> None:
    """By default the server is reachable from this machine, with sessions in a file."""
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
    """The message names the most similar setting."""
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
    """Neither `KEYSTAY_API_KEY`, which is a secret, nor names without `KEYSTAY_`."""
    environment = {"KEYSTAY_API_KEY": "secret", "LISTEN": "x", "keystay_dev": "x"}
    assert load({}, None, environment) == Config()


def test_an_error_names_the_source(tmp_path: Path) -> None:
    """The file, the variable or the flag."""
    with pytest.raises(ConfigError, match=r"keystay\.toml"):
        from_file(tmp_path, "ttl_s = true")
    with pytest.raises(ConfigError, match="in KEYSTAY_TTL_S"):
        load({}, None, {"KEYSTAY_TTL_S": "soon"})
    with pytest.raises(ConfigError, match="in --ttl-s"):
        load({"ttl_s": "soon"}, None, {})


@pytest.mark.parametrize(
    ("text", "why"), [("ttl_s = ", "not TOML"), ("[ttl_s]\na = 1", "ttl_s")]
)
def test_a_malformed_file_is_an_error(tmp_path: Path, text: str, why: str) -> None:
    """A broken file, and a table where a value should be."""
    with pytest.raises(ConfigError, match=why):
        from_file(tmp_path, text)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The message has the file and the reason."""
    with pytest.raises(ConfigError, match="No such file"):
        load({}, str(tmp_path / "missing.toml"), {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        load({}, str(binary), {})


def test_a_file_is_utf_8(tmp_path: Path) -> None:
    """As TOML has it, whatever the locale is."""
    config = from_file(tmp_path, 'store = "sqlite:///Sitzüng.db"')
    assert config.store == "sqlite:///Sitzüng.db"


def test_a_value_that_may_be_a_secret_is_not_repeated() -> None:
    """No error shows the password of the store, neither its own nor another setting's."""
    url = "redis://user:hunter2@localhost"
    for flags in ({"store": url, "ttl_s": "soon"}, {"store": ["redis://:hunter2@localhost"]}):
        with pytest.raises(ConfigError) as error:
            load(flags, None, {})
        assert "hunter2" not in str(error.value)
