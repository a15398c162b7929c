"""
How what is POSTed is signed: Standard Webhooks (standardwebhooks.com), symmetric.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from pathlib import Path

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


class Signer:
    """Signs with a secret of 24 to 64 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Signer()"

    @classmethod
    def from_file(cls, path: Path) -> "Signer":
        """
        Read the secret: `whsec_` and base64.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is none. The text says nothing of what is there.
        """
        text = path.read_text(errors="replace").strip()
        try:
            secret = b64decode(text.removeprefix(PREFIX), validate=True)
        except ValueError:
            secret = b""
        if not text.startswith(PREFIX) or not MIN_BYTES <= len(secret) <= MAX_BYTES:
            raise ValueError(f"must be {PREFIX} and base64 of {MIN_BYTES} to {MAX_BYTES} bytes")
        return cls(secret)

    def headers(self, id_: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The headers of a message; `timestamp` is in Unix seconds."""
        signed = f"{id_}.{timestamp}.".encode() + body
        digest = hmac.digest(self._secret, signed, hashlib.sha256)
        return {
            "content-type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{b64encode(digest).decode()}",
        }
