"""
The checks of settings: one setting by itself, and settings that depend on each other.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from keystay_protocol.errors import InvalidParams
from keystay_server.sessions.fields import checked_version
from keystay_server.sessions.policy import parse_policy
from keystay_server.settings.addresses import is_loopback, parse_address
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.origins import ANY, parse_setting
from keystay_server.stores import EMBEDDED

Check = Callable[[Any], None]
"""Checks the value of one setting. Raises `ValueError`, whose text says what it must be."""


def positive(value: float) -> None:
    """More than 0."""
    if value <= 0:
        raise ValueError("must be more than 0")


def at_least(least: int) -> Check:
    """Not less than this."""

    def check(value: int) -> None:
        if value < least:
            raise ValueError(f"must be at least {least}")

    return check


def within(least: int, most: int) -> Check:
    """From the one to the other, both included."""

    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")

    return check


def one_of(*allowed: str) -> Check:
    """One of these words."""

    def check(value: str) -> None:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")

    return check


def check_policy(value: str) -> None:
    """`many`, `single`, `limit:N` or `deny:N`."""
    parse_policy(value)


def check_app_version(value: str) -> None:
    """A version as SPEC has it, or empty."""
    try:
        checked_version(value or "none")
    except InvalidParams as error:
        raise ValueError(error.message) from None


def check_origins(values: tuple[str, ...]) -> None:
    """Origins, or `*`."""
    for origin in values:
        if origin != ANY:
            parse_setting(origin)


def check_listen(address: str, tls_cert: str, tls_key: str) -> None:
    """
    Check the client port's address, and that it fits its TLS settings.

    Raises:
        ConfigError: If one of them is wrong.
    """
    parse_address("listen", address)
    _check_tls("listen", address, "tls", (tls_cert, tls_key))


def check_control(address: str, tls_cert: str, tls_key: str, *, is_insecure: bool) -> None:
    """
    Check the control port's address: TLS, loopback, or `control_insecure`.

    Raises:
        ConfigError: If one of them is wrong.
    """
    host, _ = parse_address("control", address)
    if not (is_insecure or tls_cert or is_loopback(host)):
        raise ConfigError(
            "control",
            f"{host} can be reached from other machines, without TLS: "
            "use a loopback address, or set control_tls_cert, or control_insecure",
        )
    _check_tls("control", address, "control_tls", (tls_cert, tls_key))


def check_webhook(url: str, secret_file: str, *, has_feed: bool) -> None:
    """
    Check that a webhook has a URL, a file with secrets, and the feed.

    Raises:
        ConfigError: If one of them is wrong or missing.
    """
    if not url:
        return
    if not _is_http_url(url):
        raise ConfigError("webhook_url", "must be http://HOST... or https://HOST...")
    if not secret_file:
        raise ConfigError("webhook_secret_file", "is needed too: webhooks are signed")
    if not has_feed:
        raise ConfigError("feed", "is needed for webhook_url: webhooks deliver the feed")


def check_workers(workers: int, store: str) -> None:
    """
    Check that several processes have a store that they can share.

    Raises:
        ConfigError: If they have not.
    """
    scheme = urlsplit(store).scheme
    if workers > 1 and scheme in EMBEDDED:
        raise ConfigError(
            "workers",
            f"several processes cannot share a {scheme} store, which is in one of them: "
            "use Redis or Valkey",
        )


def _check_tls(address_name: str, address: str, tls: str, files: tuple[str, str]) -> None:
    """TLS takes both files or none, and the scheme of an address that is a URL fits."""
    cert, key = f"{tls}_cert", f"{tls}_key"
    has_cert, has_key = map(bool, files)
    if has_cert != has_key:
        missing = key if has_cert else cert
        raise ConfigError(missing, "is needed too: TLS takes a certificate and its key")
    scheme, colon, _ = address.partition("://")
    if colon and scheme not in (("https", "wss") if has_cert else ("http", "ws")):
        raise ConfigError(
            address_name, f"cannot be {scheme}:// {'with' if has_cert else 'without'} {cert}"
        )


def _is_http_url(url: str) -> bool:
    # Imported here: a server without webhooks loads no HTTP client.
    from httpx import InvalidURL, Request

    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        Request("POST", url)  # Refuses hosts that cannot be names.
    except (InvalidURL, ValueError):
        return False
    return is_url and url.isprintable() and " " not in url
