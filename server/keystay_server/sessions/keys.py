"""
Session keys and ids: how they are made, and what may be known of them.

A key is a secret: `<actorId>:kst_<32 random bytes>`. Stores hold its digest only
(`stores/digest.py`).

An id is not a secret. It names its actor, so that any node finds the session
without an index across actors: `<actorId in base64url>.<12 random bytes>`.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

from keystay_protocol.session import SECRET_PREFIX, is_actor_id


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """
    Makes the key for a request that may come twice: the same each time, on every node.

    Nobody keeps the key: who sends the request again brings all that it is made of.
    """

    seed: bytes = field(repr=False)
    """A secret of whoever asks."""
    name: tuple[str, ...]
    """What the request is called by whoever asks."""
    content: bytes
    """A digest of what is asked."""

    def key(self, actor_id: str) -> str:
        """The key of the session that the request opens for the actor."""
        secret = self._derive("key", actor_id, self.content.hex())
        encoded = urlsafe_b64encode(secret).rstrip(b"=").decode()
        return f"{actor_id}:{SECRET_PREFIX}{encoded}"

    def name_for(self, actor_id: str) -> str:
        """What the store may know the request by: it tells nothing of the name."""
        return self._derive("name", actor_id).hex()

    def _derive(self, *parts: str) -> bytes:
        mac = hmac.new(self.seed, b"keystay idempotency v1", "sha256")
        for part in (*parts, *self.name):
            # Each with its length: no two requests run together into the same text.
            encoded = part.encode()
            mac.update(len(encoded).to_bytes(4, "big") + encoded)
        return mac.digest()


def new_key(actor_id: str) -> str:
    """Make a key for a session of the actor, from the system's CSPRNG."""
    return f"{actor_id}:{SECRET_PREFIX}{secrets.token_urlsafe(32)}"


def new_session_id(actor_id: str) -> str:
    """Make a public id for a session of the actor."""
    actor = urlsafe_b64encode(actor_id.encode()).rstrip(b"=").decode()
    return f"{actor}.{secrets.token_urlsafe(12)}"


def actor_of(session_id: str) -> str | None:
    """The actor that the id names, or None if the string is not a session id."""
    actor, dot, _ = session_id.partition(".")
    if not dot or not actor.isascii():
        return None
    try:
        actor_id = urlsafe_b64decode(actor + "=" * (-len(actor) % 4)).decode()
    except ValueError:
        return None
    return actor_id if is_actor_id(actor_id) else None
