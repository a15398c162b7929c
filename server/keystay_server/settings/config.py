"""
Every setting of the server, and where its value comes from.

One schema: the fields of `Config`. The same name is a key in the TOML file, a
`KEYSTAY_` variable in the environment, and a flag; a later source wins:
defaults < file < environment < flags.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keystay_protocol.errors import InvalidParams
from keystay_server.sessions.fields import checked_version
from keystay_server.settings.addresses import is_loopback
from keystay_server.settings.masking import without_secrets
from keystay_server.settings.suggestions import did_you_mean, nearest
from keystay_server.settings.values import converted
from keystay_server.stores.base import MAX_PARTITIONS, UNLIMITED, Policy

ENVIRONMENT_PREFIX = "KEYSTAY_"

# A secret is not shown as settings are.
_OTHER_VARIABLES = frozenset({"KEYSTAY_API_KEY"})


class ConfigError(Exception):
    """
    A setting is wrong. The text is one line that names it and where it was set.

    Args:
        setting: Its name, or of what else is to be put right, such as a variable.
        what: What is wrong with it.
        source: Where it was set, if that is known.
        nearest: The name that may have been meant.
    """

    def __init__(
        self,
        setting: str,
        what: str,
        *,
        source: str | None = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(setting, what)
        self.setting = setting
        self.what = what
        self.source = source
        self.nearest = nearest

    def __str__(self) -> str:
        where = "" if self.source is None else f", in {self.source}"
        return f"{self.setting}: {self.what}{where}{did_you_mean(self.nearest)}"

    def to_document(self) -> dict[str, str | None]:
        """For programs."""
        return {
            "error": str(self),
            "setting": self.setting,
            "source": self.source,
            "nearest": self.nearest,
        }


def _setting(default: Any, help_: str) -> Any:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True, slots=True)
class Sourced:
    """What a setting was set to, and where, as an operator would look for it."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Config:
    """The settings, checked. Times are in seconds; where it says so, 0 stands for no limit."""

    listen: str = _setting(
        "127.0.0.1:8330", "where clients connect, HOST:PORT; port 0: any free"
    )
    control: str = _setting(
        "127.0.0.1:8331", "where backends connect, HOST:PORT; port 0: any free"
    )
    control_insecure: bool = _setting(
        False, "let backends connect from other machines, in clear text"
    )
    control_tls_cert: str = _setting(
        "", "certificate chain for backends, a PEM file; read again at SIGHUP"
    )
    control_tls_key: str = _setting("", "its private key, a PEM file, without a password")
    api_keys_file: str = _setting(
        "", "more API keys, with names and scopes, a TOML file; read again at SIGHUP"
    )
    store: str = _setting("sqlite:///keystay.db", "where sessions live: a store's URL")
    partitions: int = _setting(
        64, "partitions of a Redis store, 1 to 256: fixed when it is first used, on all nodes"
    )
    dev: bool = _setting(
        False, "for development: anonymous login, pages from this machine, the demo"
    )

    tls_cert: str = _setting(
        "", "certificate chain for clients, a PEM file; read again at SIGHUP"
    )
    tls_key: str = _setting("", "its private key, a PEM file, without a password")
    origins: tuple[str, ...] = _setting(
        (),
        "pages that may connect, as https://HOST, or *; unset: those of the same host",
    )

    ttl_s: float = _setting(1800.0, "how long a session lives without activity")
    max_age_s: float = _setting(0.0, "how long a session lives at most; 0: no limit")
    policy: str = _setting(
        "many",
        "sessions of one actor: many, single, limit:N (the oldest ends), deny:N (no more)",
    )
    app_version: str = _setting(
        "", "the application's version: sessions of another major.minor answer badVersion"
    )
    activity: str = _setting(
        "connection",
        "what keeps a session alive beside restoring it: connection, commands (sent), or none",
    )
    history_events: int = _setting(256, "events kept for each actor")
    history_s: float = _setting(600.0, "how long an actor's events are kept after the newest")
    tombstone_s: float = _setting(
        86_400.0, "how long an ended session's key is told the reason"
    )
    tombstones: int = _setting(1000, "ended sessions of one actor that are remembered")

    feed: bool = _setting(
        True, "keep the feed of all sessions, for GET /v1/feed and webhooks; on all nodes alike"
    )
    webhook_url: str = _setting("", "where the feed is POSTed to, http:// or https://")
    webhook_secret_file: str = _setting(
        "", "file with the secrets that sign it, whsec_..., a line each; read again at SIGHUP"
    )
    webhook_timeout_s: float = _setting(10.0, "how long a webhook may take to be answered")

    jwt_key_file: str = _setting("", "login with JWT: file with the secret or public key")
    jwt_audience: str = _setting("", "the audience that a JWT must name")
    jwt_issuer: str = _setting("", "the issuer that a JWT must have")

    max_connections: int = _setting(0, "connections on this node; 0: no limit")
    max_connections_per_address: int = _setting(0, "connections from one address; 0: no limit")
    max_message_bytes: int = _setting(65_536, "size of a message from a client")
    max_message_depth: int = _setting(16, "nesting of a message from a client")
    max_in_flight: int = _setting(32, "commands of one connection under way at once")
    max_outbox_bytes: int = _setting(1_048_576, "what may wait for a slow client")

    command_timeout_s: float = _setting(10.0, "how long a command may take")
    handshake_timeout_s: float = _setting(10.0, "how long a client may take to shake hands")
    session_timeout_s: float = _setting(30.0, "how long until it has a session; 0: no limit")
    ping_interval_s: float = _setting(20.0, "silence before a client is pinged; 0: never")
    ping_timeout_s: float = _setting(20.0, "how long it may take to answer a ping; 0: no limit")
    slow_timeout_s: float = _setting(
        10.0, "how long it may leave its events untaken; 0: no limit"
    )
    close_timeout_s: float = _setting(3.0, "how long it may take to say goodbye")
    drain_timeout_s: float = _setting(10.0, "how long commands may take when the server stops")

    log_level: str = _setting("info", "debug, info, warning or error")
    log_format: str = _setting("console", "console or json")
    traces: bool = _setting(
        False, "an OpenTelemetry span for each command, where the program sets up a provider"
    )

    def __post_init__(self) -> None:
        parse_address("listen", self.listen)
        control_host, _ = parse_address("control", self.control)
        is_safe = self.control_tls_cert or is_loopback(control_host)
        if not self.control_insecure and not is_safe:
            raise ConfigError(
                "control",
                f"{control_host} can be reached from other machines, without TLS: "
                "use a loopback address, or set control_tls_cert, or control_insecure",
            )
        _check_tls(self, "listen", "tls")
        _check_tls(self, "control", "control_tls")
        _check_webhook(self)
        for name in (
            *("ttl_s", "command_timeout_s", "handshake_timeout_s", "close_timeout_s"),
            "webhook_timeout_s",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(name, "must be more than 0")
        for name in ("history_events", "tombstones", "max_in_flight", "max_message_depth"):
            if getattr(self, name) < 1:
                raise ConfigError(name, "must be at least 1")
        if not 1 <= self.partitions <= MAX_PARTITIONS:
            raise ConfigError("partitions", f"must be from 1 to {MAX_PARTITIONS}")
        for name in ("max_message_bytes", "max_outbox_bytes"):
            if getattr(self, name) < 1024:
                raise ConfigError(name, "must be at least 1024")
        _check_origins(self.origins)
        parse_policy(self.policy)
        _check_app_version(self.app_version)
        _one_of("activity", self.activity, ("connection", "commands", "none"))
        _one_of("log_level", self.log_level, ("debug", "info", "warning", "error"))
        _one_of("log_format", self.log_format, ("console", "json"))


def load(
    flags: Mapping[str, Any],
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """
    Read all sources, as `sourced` does, and check the settings together.

    Raises:
        ConfigError: If a setting is unknown or wrong, or the file cannot be read.
    """
    return configured(sourced(flags, file, environment))


def sourced(
    flags: Mapping[str, Any],
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Sourced]:
    """
    Read all sources; return what is set in them, by setting.

    Args:
        flags: What was given on the command line, by name of the setting.
        file: A TOML file, or None.

    Raises:
        ConfigError: If a setting is unknown or of the wrong type, or the file cannot be read.
    """
    given: list[tuple[str, Any, str]] = []
    if file is not None:
        text = _read_file(file)
        given += [(name, value, _line(file, text, name)) for name, value in _parsed(file, text)]
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _OTHER_VARIABLES:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            given.append((name, value, variable))
    given += [(name, value, f"--{name.replace('_', '-')}") for name, value in flags.items()]
    values: dict[str, Sourced] = {}
    for name, value, source in given:
        known = _known(name, source)
        values[known] = Sourced(_converted(known, value, source), source)
    return values


def configured(values: Mapping[str, Sourced]) -> Config:
    """
    Check the settings together.

    Raises:
        ConfigError: If one of them is wrong.
    """
    try:
        return Config(**{name: each.value for name, each in values.items()})
    except ConfigError as error:
        if error.setting in values:
            error.source = values[error.setting].source
        raise


def parse_address(name: str, address: str) -> tuple[str, int]:
    """
    Split HOST:PORT; an IPv6 host is in brackets, a URL's scheme is passed over.

    Raises:
        ConfigError: If it is not of that form.
    """
    host, colon, port = address.rpartition("://")[2].rstrip("/").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    if not colon or not host or "@" in host or not is_port:
        raise ConfigError(name, f"{without_secrets(address)!r} is not HOST:PORT")
    return host, int(port)


def parse_policy(policy: str) -> Policy:
    """
    Read how many sessions an actor may have, and what becomes of one more.

    Raises:
        ConfigError: If it is none of `many`, `single`, `limit:N` and `deny:N`.
    """
    word, _, number = policy.partition(":")
    if policy == "many":
        return UNLIMITED
    if policy == "single":
        return Policy(1)
    if word in ("limit", "deny") and number.isascii() and number.isdigit() and int(number) > 0:
        return Policy(int(number), is_strict=word == "deny")
    raise ConfigError("policy", "must be many, single, limit:N or deny:N")


def _check_app_version(version: str) -> None:
    try:
        checked_version(version or "none")
    except InvalidParams as error:
        raise ConfigError("app_version", error.message) from None


def _read_file(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("config", f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError("config", f"{file}: not TOML, which is UTF-8: {error}") from error


def _parsed(file: str, text: str) -> list[tuple[str, Any]]:
    try:
        return list(tomllib.loads(text).items())
    except ValueError as error:
        raise ConfigError("config", f"{file}: not TOML: {error}") from error


def _line(file: str, text: str, name: str) -> str:
    """The line of the file that a setting is on, where it is easily found."""
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*[]=.]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"{file}:{number}"
    return file


def _known(name: str, source: str) -> str:
    names = [setting.name for setting in fields(Config)]
    if name in names:
        return name
    raise ConfigError(name, "no such setting", source=source, nearest=nearest(name, names))


def _converted(name: str, value: Any, source: str) -> Any:
    default = next(setting.default for setting in fields(Config) if setting.name == name)
    try:
        return converted(value, default)
    except ValueError as error:
        raise ConfigError(name, str(error), source=source) from None


def _check_tls(config: Config, door: str, tls: str) -> None:
    """Whether the door has both halves of TLS or neither, and its URL, if it is one, fits."""
    cert, key = f"{tls}_cert", f"{tls}_key"
    has_tls = bool(getattr(config, cert))
    if has_tls != bool(getattr(config, key)):
        missing = key if has_tls else cert
        raise ConfigError(missing, "is needed too: TLS takes a certificate and its key")
    scheme, colon, _ = getattr(config, door).partition("://")
    if colon and scheme not in (("https", "wss") if has_tls else ("http", "ws")):
        raise ConfigError(
            door, f"cannot be {scheme}:// {'with' if has_tls else 'without'} {cert}"
        )


def _check_origins(origins: tuple[str, ...]) -> None:
    for origin in origins:
        if origin != "*" and "://" not in origin:
            raise ConfigError("origins", f"{origin!r} is neither * nor like https://HOST")


def _check_webhook(config: Config) -> None:
    if not config.webhook_url:
        return
    # Imported late: who has no webhook needs no HTTP client, and waits for none.
    from httpx import InvalidURL, Request

    try:
        parts = urlsplit(config.webhook_url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_url = is_url and config.webhook_url.isprintable() and " " not in config.webhook_url
        Request("POST", config.webhook_url)  # A host may still be no name that there can be.
    except (InvalidURL, ValueError):
        is_url = False
    if not is_url:
        raise ConfigError("webhook_url", "must be http://HOST... or https://HOST...")
    if not config.webhook_secret_file:
        raise ConfigError("webhook_secret_file", "is needed too: what is POSTed is signed")
    if not config.feed:
        raise ConfigError("feed", "is needed for webhook_url: what is POSTed is the feed")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(name, f"must be one of {', '.join(allowed)}")
