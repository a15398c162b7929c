"""
The default API key, shared by the server, backends and the command line.

It is `KEYSTAY_API_KEY`, or else the content of `keystay.key`, a file with mode 0600 that
the server creates at its first start. It is never a flag: flags are visible in the list of
processes.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from keystay_server.settings.errors import ConfigError

VARIABLE = "KEYSTAY_API_KEY"
FILE_NAME = "keystay.key"
PREFIX = "ksa_"
"""Prefix of generated keys: secret scanners find leaked ones by it."""
MIN_CHARACTERS = 22
"""128 random bits in base64url. A shorter key is accepted with a warning."""


def directory_beside(store_url: str) -> Path:
    """Return the directory of the key file: that of the database, or the working directory."""
    parts = urlsplit(store_url)
    if parts.scheme != "sqlite":
        return Path()
    return Path(parts.path.removeprefix("/")).parent


def read_or_make_api_key(directory: Path, environment: Mapping[str, str] = os.environ) -> str:
    """
    Return the default API key; create the file if there is none.

    Raises:
        ConfigError: If it is invalid, or can be neither read nor created.
    """
    try:
        return read_api_key(directory, environment) or _create(directory / FILE_NAME)
    except OSError as error:
        raise ConfigError(
            VARIABLE, f"is not set, and {FILE_NAME} cannot be created: {error.strerror}"
        ) from error


def read_api_key(directory: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """
    Return the default API key, or None if there is neither the variable nor the file.

    Raises:
        ConfigError: If it is invalid, or the file cannot be read.
    """
    if environment.get(VARIABLE):
        return checked(environment[VARIABLE], VARIABLE)
    path = directory / FILE_NAME
    try:
        return checked(path.read_text(errors="replace").strip(), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(str(path), str(error.strerror)) from error


def is_short(key: str) -> bool:
    """Tell whether the key is short enough to be guessed."""
    return len(key) < MIN_CHARACTERS


def _create(path: Path) -> str:
    key = PREFIX + secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key}\n")
    except OSError:
        path.unlink()  # An empty file would be an invalid key at the next start.
        raise
    return key


def checked(key: str, setting: str, place: str = "") -> str:
    """
    Return the key if it is valid.

    Args:
        place: Where it is in the setting, for the error text.

    Raises:
        ConfigError: If it is not. The text does not quote it.
    """
    # It is sent in an HTTP header.
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(setting, f"{place}an API key is visible ASCII, without spaces")
    return key
