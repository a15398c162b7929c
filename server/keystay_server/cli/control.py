"""
Calls a running server through `keystay.Control`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from keystay.control.client import Control
from keystay.errors import UnexpectedAnswer
from keystay.options import ControlOptions
from keystay_protocol.errors import KeystayError
from keystay_server.cli.arguments import DEFAULT_URL, URL_VARIABLE, Refused
from keystay_server.control.auth.api_key import FILE_NAME, VARIABLE, read_api_key
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.masking import without_secrets

TIMEOUT_S = 30.0


def run_with_control(url: str | None, call: Callable[[Control], Awaitable[None]]) -> None:
    """
    Call the server at this URL, or at the one that the environment names.

    Raises:
        ConfigError: If there is no API key, or the URL is invalid.
        Refused: If the server refuses, or does not respond.
    """
    url, api_key = location(url, os.environ)

    async def run() -> None:
        # One attempt: an operator wants to know at once.
        options = ControlOptions(max_attempts=1, feed_backoff_cap_s=10.0)
        async with Control(url, api_key, timeout_s=TIMEOUT_S, options=options) as control:
            await call(control)

    try:
        asyncio.run(run())
    except UnexpectedAnswer as error:
        raise Refused(f"{url} is not the control port of a Keystay server") from error
    except KeystayError as error:
        raise Refused(str(error)) from error


def location(url: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """
    Return the URL of the server and the API key.

    Raises:
        ConfigError: If there is no API key, or the URL is invalid.
    """
    api_key = read_api_key(Path(), environment)
    if api_key is None:
        missing = f"is not set, and there is no {FILE_NAME} in this directory"
        raise ConfigError(VARIABLE, missing)
    try:
        return _checked(url or environment.get(URL_VARIABLE) or DEFAULT_URL), api_key
    except ConfigError as error:
        error.source = "--control" if url else URL_VARIABLE
        raise


def _checked(url: str) -> str:
    # HOST:PORT is accepted: it is the form of the server's own setting.
    full = url if "://" in url else f"http://{url}"
    parts = urlsplit(full)
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # The port is not a number.
        is_url = False
    if not is_url or parts.username is not None or parts.query or parts.fragment:
        raise ConfigError("control", f"{without_secrets(url)!r} is not http://HOST:PORT")
    return full
