"""
What a store keeps of a session, and what it is given to open, find or change one.
"""

import hashlib
from dataclasses import dataclass

from keystay_protocol.codec import unpack
from keystay_protocol.session import Session

IDEMPOTENCY_MS = 24 * 60 * 60 * 1000
"""How long a store remembers what was done under an idempotency key."""

_EMPTY_MAP = b"\x80"


def digest_of(key: str) -> bytes:
    """
    Return the SHA-256 of a session key: 32 bytes, all that a store has of the key.

    The time of a look-up reveals nothing about a secret of 256 random bits.
    """
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """An idempotency key: the same request made twice is carried out once."""

    name: str
    """The key, unique among the requests about one actor."""
    content: str
    """A digest of the request; the same name with another content is an error."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a store is given to open a session."""

    id: str
    actor_id: str
    digest: bytes
    """SHA-256 of the key: 32 bytes."""
    meta: bytes
    """A MessagePack map; stores do not look inside."""
    language: str
    version: str | None
    ttl_ms: int
    max_age_ms: int | None
    idempotency: IdempotencyRecord | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How many live sessions an actor may have, and what happens at the limit."""

    limit: int | None = None
    """None: any number."""
    is_strict: bool = False
    """Whether the new session is refused; otherwise the oldest ends as `replaced`."""


UNLIMITED = Policy()


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change in a session; None leaves a field as it is."""

    meta: bytes | None = None
    """A MessagePack map; it replaces the old one."""
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """A session that a connection is bound to: what a store needs to find it."""

    actor_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A live session, as a store keeps it."""

    id: str
    actor_id: str
    meta: bytes
    language: str
    version: str | None
    created_at: int
    expires_at: int
    """Slides to now + `ttl_ms` with each extension, never beyond `ends_at`."""
    ends_at: int | None
    ttl_ms: int
    revision: int = 1
    """One more with each `Store.change`."""

    def to_session(self, key: str | None = None) -> Session:
        """The session as clients see it; with its key for those who hold it."""
        return Session(
            actor_id=self.actor_id,
            id=self.id,
            created_at=self.created_at,
            expires_at=self.expires_at,
            ends_at=self.ends_at,
            key=key,
            meta={} if self.meta == _EMPTY_MAP else unpack(self.meta),
            language=self.language,
            version=self.version,
        )
