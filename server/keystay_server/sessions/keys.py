"""
Session keys and session ids.

A key is a secret: `<actorId>:kst_<32 random bytes>`. Stores hold its digest only
(`stores/digest.py`).

An id is not a secret. It contains its actor, so that any node finds the session
without an index across actors: `<actorId in base64url>.<12 random bytes>`.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from keystay_protocol.session import SECRET_PREFIX, is_actor_id


def new_key(actor_id: str) -> str:
    """Make a key for a session of the actor, from the system's CSPRNG."""
    return f"{actor_id}:{SECRET_PREFIX}{secrets.token_urlsafe(32)}"


def new_session_id(actor_id: str) -> str:
    """Make a public id for a session of the actor."""
    actor = urlsafe_b64encode(actor_id.encode()).rstrip(b"=").decode()
    return f"{actor}.{secrets.token_urlsafe(12)}"


def actor_of(session_id: str) -> str | None:
    """Return the actor in the id, or None if the string is not a session id."""
    actor, dot, _ = session_id.partition(".")
    if not dot or not actor.isascii():
        return None
    try:
        actor_id = urlsafe_b64decode(actor + "=" * (-len(actor) % 4)).decode()
    except ValueError:
        return None
    return actor_id if is_actor_id(actor_id) else None
