"""
The name of a request that may be sent twice, and the session key that follows from it.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from keystay_protocol.session import SECRET_PREFIX
from keystay_server.stores.records import IdempotencyRecord


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """
    Derives a session key from a request: the same key each time, on every node.

    The derived key is not stored. Whoever repeats the request sends all it is made of.
    """

    seed: bytes = field(repr=False)
    """A secret of the caller."""
    name: tuple[str, ...]
    """The caller's name for the request."""
    content: bytes
    """A digest of the request."""

    def key(self, actor_id: str) -> str:
        """Return the key of the session that the request creates for the actor."""
        secret = self._derive("key", actor_id, self.content.hex())
        encoded = urlsafe_b64encode(secret).rstrip(b"=").decode()
        return f"{actor_id}:{SECRET_PREFIX}{encoded}"

    def record_for(self, actor_id: str) -> IdempotencyRecord:
        """Return what the store keeps of the request. The caller's name is not in it."""
        return IdempotencyRecord(self._derive("name", actor_id).hex(), self.content.hex())

    def _derive(self, *parts: str) -> bytes:
        mac = hmac.new(self.seed, b"keystay idempotency v1", "sha256")
        for part in (*parts, *self.name):
            # Each with its length: no two requests run together into the same text.
            encoded = part.encode()
            mac.update(len(encoded).to_bytes(4, "big") + encoded)
        return mac.digest()
