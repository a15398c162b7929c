"""
Signs webhooks: Standard Webhooks (standardwebhooks.com), symmetric.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

from keystay_server.settings.errors import ConfigError

SETTING = "webhook_secret_file"
PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64
MAX_SECRETS = 4
"""Two are enough to exchange one. Each adds a signature to every request."""


class Signer:
    """
    Signs with each of the secrets: a receiver needs only one of them.

    Args:
        read: Reads the secrets again, at least one.

    Raises:
        ConfigError: If they cannot be read.
    """

    def __init__(self, read: Callable[[], list[bytes]]) -> None:
        self._read = read
        self._secrets = read()

    def __repr__(self) -> str:
        return "Signer()"

    def headers(self, id_: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers of a message; `timestamp` is in Unix seconds."""
        signed = f"{id_}.{timestamp}.".encode() + body
        digests = [hmac.digest(secret, signed, hashlib.sha256) for secret in self._secrets]
        return {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(f"v1,{b64encode(each).decode()}" for each in digests),
        }

    def reload(self) -> str | None:
        """
        Read the secrets again, for the next requests; return what changed, for the log.

        Raises:
            ConfigError: If they cannot be read. The present ones stay in use.
        """
        secrets = self._read()
        if secrets == self._secrets:
            return None
        self._secrets = secrets
        number = len(secrets)
        return f"webhooks are signed with {number} {'secret' if number == 1 else 'secrets'}"


def read_secrets(file: str) -> list[bytes]:
    """
    Read the secrets of `webhook_secret_file`: `whsec_` and base64, a line each.

    Raises:
        ConfigError: If they cannot be read. Nothing of the file is in the text.
    """
    try:
        words = Path(file).read_text(errors="replace").split()
    except OSError as error:
        raise ConfigError(SETTING, f"{file}: {error.strerror}") from error
    if not 1 <= len(words) <= MAX_SECRETS:
        what = f"must have one secret, or up to {MAX_SECRETS}, a line each"
        raise ConfigError(SETTING, f"{file}: {what}")
    return [_decoded(word, file) for word in words]


def _decoded(text: str, file: str) -> bytes:
    try:
        secret = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(PREFIX) or not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ConfigError(
            SETTING,
            f"{file}: a secret is {PREFIX} and base64 of {MIN_BYTES} to {MAX_BYTES} bytes",
        )
    return secret
