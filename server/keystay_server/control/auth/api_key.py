"""
The API key, which backends and the command line share with the server.

It is `KEYSTAY_API_KEY`, or else the content of a file that only its owner can
read, which the server makes at its first start. It is never a flag: whoever
can list the processes of a machine sees their flags.
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
"""What a key that was made here starts with, so that a scanner finds a leaked one."""
MIN_CHARACTERS = 22
"""What 128 random bits take in base64url. A shorter key is served, but not in silence."""


def directory_beside(store_url: str) -> Path:
    """Where the file is: beside the database file, or the working directory."""
    parts = urlsplit(store_url)
    if parts.scheme != "sqlite":
        return Path()
    return Path(parts.path.removeprefix("/")).parent


def read_or_make_api_key(directory: Path, environment: Mapping[str, str] = os.environ) -> str:
    """
    Return the API key of this installation; make one if there is none yet.

    Raises:
        ConfigError: If it is unusable, or can be neither read nor made.
    """
    try:
        return read_api_key(directory, environment) or _make(directory / FILE_NAME)
    except OSError as error:
        raise ConfigError(
            VARIABLE, f"is not set, and {FILE_NAME} cannot be made: {error.strerror}"
        ) from error


def read_api_key(directory: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """
    Return the API key, or None if there is neither the variable nor the file.

    Raises:
        ConfigError: If it is unusable, or the file cannot be read.
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
    """Tell whether the key has too few characters not to be guessed."""
    return len(key) < MIN_CHARACTERS


def _make(path: Path) -> str:
    key = PREFIX + secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key}\n")
    return key


def checked(key: str, setting: str, place: str = "") -> str:
    """
    Return the key, which is in this setting, at this place in it.

    Raises:
        ConfigError: If it cannot be one. The text does not quote it.
    """
    # It has to pass through an HTTP header as it is.
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(setting, f"{place}an API key is visible ASCII, without spaces")
    return key
