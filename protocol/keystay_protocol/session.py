"""
The session as clients see it (SPEC section 4), and the form of a key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystay_protocol.errors import InvalidSessionKey, MalformedFrame

MAX_ACTOR_ID_BYTES = 128
MAX_META_DEPTH = 8  # So that a frame with a session has at most 16 levels.
SECRET_PREFIX = "kst_"  # noqa: S105  # A prefix, not a secret.
# 32 bytes, base64url, no padding. The first group is greedy: it ends at the last colon.
_KEY = re.compile(rf"(.+):({SECRET_PREFIX}[A-Za-z0-9_-]{{43}})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Session:
    """
    The record that an actor is logged in.

    Times are Unix milliseconds of the store's clock. `key` is the secret; it is None where
    the receiver does not have it, and the repr omits it. `current` marks the session of the
    calling connection in a list.
    """

    actor_id: str
    id: str
    created_at: int
    expires_at: int
    ends_at: int | None = None
    key: str | None = field(default=None, repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"
    version: str | None = None
    current: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return the map of SPEC section 4, without `key` if it is None."""
        wire: dict[str, Any] = {
            "actorId": self.actor_id,
            "meta": dict(self.meta),
            "id": self.id,
            "language": self.language,
            "version": self.version,
            "createdAt": self.created_at,
            "expiresAt": self.expires_at,
            "endsAt": self.ends_at,
        }
        return wire if self.key is None else {"key": self.key, **wire}

    @classmethod
    def from_wire(cls, wire: Any) -> "Session":
        """
        Parse the map of SPEC section 4. Unknown fields are ignored.

        Raises:
            MalformedFrame: If a field is missing or of the wrong type.
        """
        match wire:
            case {
                "actorId": str(actor_id),
                "id": str(id_),
                "createdAt": int(created_at),
                "expiresAt": int(expires_at),
                "endsAt": int() | None as ends_at,
                "meta": dict(meta),
                "language": str(language),
                "version": str() | None as version,
            }:
                key = wire.get("key")
                if key is not None and not isinstance(key, str):
                    raise MalformedFrame("the key of a session is a string")
                current = wire.get("current") is True
                return cls(
                    actor_id,
                    id_,
                    created_at,
                    expires_at,
                    ends_at,
                    key,
                    meta,
                    language,
                    version,
                    current,
                )
        raise MalformedFrame("a session lacks a field or has one of the wrong type")


def split_key(key: str) -> tuple[str, str]:
    """
    Split a key into actor id and secret, at the last colon.

    Raises:
        InvalidSessionKey: If the string does not have the form of a key.
    """
    match = _KEY.fullmatch(key)
    if match is None or not is_actor_id(match[1]):
        raise InvalidSessionKey
    return match[1], match[2]


def is_actor_id(actor_id: str) -> bool:
    """
    Return whether the string is 1 to 128 bytes of UTF-8, and neither `.` nor `..`.

    Those two change the meaning of a path, percent-encoded or not (RFC 3986, section 6.2.2.3).
    """
    if actor_id in ("", ".", "..") or len(actor_id) > MAX_ACTOR_ID_BYTES:
        return False
    try:
        return len(actor_id.encode()) <= MAX_ACTOR_ID_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False
