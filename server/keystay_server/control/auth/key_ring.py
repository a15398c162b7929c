"""
The valid API keys, each with a name and scopes.

The one of `api_key` is named `default` and has the scope admin. Further ones are tables
in a TOML file:

    [shop]
    sha256 = "..."  # hexadecimal; or key = "..."
    scopes = ["read", "sessions"]
"""

import hashlib
import hmac
import logging
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystay_server.control.auth.api_key import (
    FILE_NAME,
    MIN_CHARACTERS,
    VARIABLE,
    checked,
    is_short,
    read_api_key,
)
from keystay_server.control.auth.rights import Right
from keystay_server.settings.errors import ConfigError

log = logging.getLogger("keystay.control")

SETTING = "api_keys_file"
DEFAULT_NAME = "default"
KEY_ID_DIGITS = 4
"""So few that the id of a key which can be guessed excludes few guesses."""
MAX_KEYS = 256
"""Each request is compared with all of them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key. The server keeps its digest, not the key."""

    name: str
    digest: bytes = field(repr=False)
    """Its SHA-256."""
    rights: frozenset[Right]
    is_short: bool = False
    """Whether it may be guessed. Unknown, and False, for a key given as its digest."""


class KeyRing:
    """
    Finds the key that was sent, in a time that does not depend on the valid ones.

    Args:
        read: Reads the keys.

    Raises:
        ConfigError: If they cannot be read.
    """

    def __init__(self, read: Callable[[], list[ApiKey]]) -> None:
        self._read = read
        self._keys = read()

    def find(self, token: str) -> ApiKey | None:
        """Return the API key with this token; None if it is unknown."""
        digest = _digest(token)
        found = None
        for key in self._keys:  # No early exit: the time must not depend on the position.
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found

    def name_of(self, token: str) -> str | None:
        """Return the name of the key with this token; None if it is unknown."""
        key = self.find(token)
        return None if key is None else key.name

    def named(self, name: str) -> ApiKey | None:
        """Return the key with this name."""
        return next((key for key in self._keys if key.name == name), None)

    def digest_of(self, name: str) -> bytes | None:
        """Return the digest of the key with this name."""
        key = self.named(name)
        return None if key is None else key.digest

    def default_id(self) -> str:
        """Return what nodes with the same default key have in common; not the key."""
        digest = self.digest_of(DEFAULT_NAME) or b""
        return hmac.digest(digest, b"keystay key id", "sha256").hex()[:KEY_ID_DIGITS]

    def reload(self) -> str | None:
        """
        Read the keys again; return a description of the change, None if there is none.

        Raises:
            ConfigError: If they cannot be read. The previous ones stay valid.
        """
        keys = self._read()
        if keys == self._keys:
            return None
        self._keys = keys
        self.warn_of_short()
        return f"the API keys are {', '.join(key.name for key in keys)}"

    def warn_of_short(self) -> None:
        """Log the names of keys that are short enough to be guessed."""
        for key in self._keys:
            if key.is_short:
                log.warning(
                    "the API key %s may be guessed: it has fewer than %d characters",
                    *(key.name, MIN_CHARACTERS),
                )


def read_keys(directory: Path, file: str) -> list[ApiKey]:
    """
    Read all keys: the default one, which is required, and those of the file.

    Raises:
        ConfigError: If one cannot be read. The text does not quote keys.
    """
    default = read_api_key(directory)
    if default is None:
        raise ConfigError(VARIABLE, f"is not set, and there is no {directory / FILE_NAME}")
    return keys_of(default, file)


def keys_of(default: str | None, file: str) -> list[ApiKey]:
    """
    Return all keys: the default one, if there is one, and those of the file, if it is named.

    Raises:
        ConfigError: If the file is invalid, or two keys are the same. It does not quote keys.
    """
    keys = []
    if default is not None:
        rights = frozenset({Right.ADMIN})
        keys.append(ApiKey(DEFAULT_NAME, _digest(default), rights, is_short(default)))
    if file:
        keys += _keys_in(file)
    seen: dict[bytes, str] = {}
    for key in keys:
        other = seen.setdefault(key.digest, key.name)
        if other != key.name:
            raise ConfigError(SETTING, f"[{key.name}] is the same key as {other}")
    return keys


def _keys_in(file: str) -> list[ApiKey]:
    keys = [_key(name, table) for name, table in _tables(file).items()]
    if len(keys) >= MAX_KEYS:
        raise ConfigError(SETTING, f"{file}: there may be {MAX_KEYS - 1} keys")
    return keys


def _tables(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(SETTING, f"{file}: {error.strerror}") from error
    except ValueError as error:
        # The error text of the decoder may quote the line, and the key in it.
        place = re.search(r" \(at .*\)$", str(error))
        where = place[0] if place else ""
        raise ConfigError(SETTING, f"{file}: not TOML{where}") from None


def _key(name: str, table: Any) -> ApiKey:
    place = f"[{name[:64]}]: "
    if not _NAME.fullmatch(name) or name == DEFAULT_NAME:
        raise ConfigError(
            SETTING, f"{place}a name is letters, digits, . _ and -, and not default"
        )
    if not isinstance(table, Mapping):
        raise ConfigError(SETTING, f"{place}must be a table with sha256 or key, and scopes")
    for unknown in set(table) - {"key", "sha256", "scopes"}:
        raise ConfigError(
            SETTING, f"{place}there is no {unknown}, only sha256 or key, and scopes"
        )
    digest, rights = _digest_in(table, place), _rights_in(table, place)
    return ApiKey(name, digest, rights, "key" in table and is_short(table["key"]))


def _digest_in(table: Mapping[str, Any], place: str) -> bytes:
    match table.get("key"), table.get("sha256"):
        case str(key), None:
            return _digest(checked(key, SETTING, place))
        case None, str(digest) if _DIGEST.fullmatch(digest):
            return bytes.fromhex(digest)
    raise ConfigError(
        SETTING, f"{place}must have either key, or sha256 with 64 hexadecimal digits"
    )


def _rights_in(table: Mapping[str, Any], place: str) -> frozenset[Right]:
    scopes = table.get("scopes")
    known = [str(right) for right in Right]
    if not isinstance(scopes, list) or not scopes or any(s not in known for s in scopes):
        raise ConfigError(SETTING, f"{place}scopes must be a list of {', '.join(known)}")
    return frozenset(Right(scope) for scope in scopes)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
