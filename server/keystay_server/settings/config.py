"""
Every setting of the server: its name, default, meaning and check.

A field of `Config` is a key in the TOML file, a `KEYSTAY_` variable in the environment, and
a flag, all under the same name. `sources.py` reads them.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from keystay_server.settings.checks import (
    Check,
    at_least,
    check_app_version,
    check_control,
    check_listen,
    check_origins,
    check_policy,
    check_webhook,
    check_workers,
    one_of,
    positive,
    within,
)
from keystay_server.settings.errors import ConfigError
from keystay_server.stores.position import MAX_PARTITIONS

MAX_WORKERS = 256


def _setting(default: Any, help_: str, check: Check | None = None) -> Any:
    return field(default=default, metadata={"help": help_, "check": check})


@dataclass(frozen=True, slots=True)
class Config:
    """The settings, checked. Times are in seconds; where it says so, 0 stands for no limit."""

    listen: str = _setting(
        "127.0.0.1:8330", "where clients connect, HOST:PORT ([::]: IPv4 too); port 0: any free"
    )
    control: str = _setting(
        "127.0.0.1:8331",
        "where backends connect, HOST:PORT; [::] is IPv4 too; port 0: any free",
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
        64,
        "partitions of a Redis store, 1 to 256: fixed when it is first used, on all nodes",
        within(1, MAX_PARTITIONS),
    )
    workers: int = _setting(
        1,
        "processes that serve clients, beside one for backends if there are several: they need "
        "a Redis store",
        within(1, MAX_WORKERS),
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
        "pages that may connect, as https://HOST or https://*.DOMAIN, or *; "
        "unset: those of the same host",
        check_origins,
    )

    ttl_s: float = _setting(1800.0, "how long a session lives without activity", positive)
    max_age_s: float = _setting(0.0, "how long a session lives at most; 0: no limit")
    policy: str = _setting(
        "many",
        "sessions of one actor: many, single, limit:N (the oldest ends), deny:N (no more)",
        check_policy,
    )
    max_sessions: int = _setting(
        1000, "what `many` is: the oldest session of an actor ends beyond it; 0: no limit"
    )
    app_version: str = _setting(
        "",
        "the application's version: sessions of another major.minor answer badVersion",
        check_app_version,
    )
    activity: str = _setting(
        "connection",
        "what keeps a session alive beside restoring it: connection, commands (sent), or none",
        one_of("connection", "commands", "none"),
    )
    history_events: int = _setting(256, "events kept for each actor", at_least(1))
    history_s: float = _setting(600.0, "how long an actor's events are kept after the newest")
    tombstone_s: float = _setting(86_400.0, "how long the reason of an ended session is kept")
    tombstones: int = _setting(
        1000, "ended sessions of one actor that are remembered", at_least(1)
    )

    feed: bool = _setting(
        True, "keep the feed of all sessions, for GET /v1/feed and webhooks; on all nodes alike"
    )
    webhook_url: str = _setting("", "where the feed is POSTed to, http:// or https://")
    webhook_secret_file: str = _setting(
        "", "file with the secrets that sign it, whsec_..., a line each; read again at SIGHUP"
    )
    webhook_timeout_s: float = _setting(
        10.0, "how long a webhook may take to be answered", positive
    )

    jwt_key_file: str = _setting("", "login with JWT: file with the secret or public key")
    jwt_audience: str = _setting("", "the audience that a JWT must name")
    jwt_issuer: str = _setting("", "the issuer that a JWT must have")
    jwt_leeway_s: float = _setting(
        10.0, "by how much the issuer's clock may differ: for exp, nbf and iat", at_least(0)
    )

    max_connections: int = _setting(0, "connections on this node; 0: no limit")
    max_connections_per_address: int = _setting(0, "connections from one address; 0: no limit")
    max_connections_per_session: int = _setting(
        64, "connections of one session on this node; 0: no limit"
    )
    max_message_bytes: int = _setting(65_536, "size of a message from a client", at_least(1024))
    max_message_depth: int = _setting(16, "nesting of a message from a client", at_least(1))
    max_in_flight: int = _setting(
        32, "commands of one connection under way at once", at_least(1)
    )
    max_outbox_bytes: int = _setting(
        1_048_576, "what may wait for a slow client", at_least(1024)
    )

    command_timeout_s: float = _setting(10.0, "how long a command may take", positive)
    handshake_timeout_s: float = _setting(
        10.0, "how long a client may take for the handshake", positive
    )
    session_timeout_s: float = _setting(30.0, "how long until it has a session; 0: no limit")
    ping_interval_s: float = _setting(20.0, "silence before a client is pinged; 0: never")
    ping_timeout_s: float = _setting(20.0, "how long it may take to answer a ping; 0: no limit")
    slow_timeout_s: float = _setting(
        10.0, "how long it may leave its events untaken; 0: no limit"
    )
    close_timeout_s: float = _setting(
        3.0, "how long it may take to answer the close frame", positive
    )
    drain_timeout_s: float = _setting(10.0, "how long commands may take when the server stops")

    log_level: str = _setting(
        "info", "debug, info, warning or error", one_of("debug", "info", "warning", "error")
    )
    log_format: str = _setting("console", "console or json", one_of("console", "json"))
    traces: bool = _setting(
        False, "an OpenTelemetry span for each command, where the program sets up a provider"
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            check = setting.metadata["check"]
            try:
                if check is not None:
                    check(getattr(self, setting.name))
            except ValueError as error:
                raise ConfigError(setting.name, str(error)) from None
        check_listen(self.listen, self.tls_cert, self.tls_key)
        check_control(
            self.control,
            self.control_tls_cert,
            self.control_tls_key,
            is_insecure=self.control_insecure,
        )
        check_workers(self.workers, self.store)
        check_webhook(self.webhook_url, self.webhook_secret_file, has_feed=self.feed)
