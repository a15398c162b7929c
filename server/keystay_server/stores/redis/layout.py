"""
How things are called in Redis, and how they are read.

Everything of one actor is below `<prefix>:{<actor>}`. What stands in braces
decides the hash slot, so all of it is in the same one. The actor's id is
percent-encoded there: braces or control characters in it mean nothing. When
sessions are due is below `<prefix>:due:{<shard>}`, for many actors together.

What a script returns for a session is an array of its fields. An event is one
string of fields, the same in the history, in an announcement and in an answer.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

from keystay_server.stores.base import (
    Change,
    Emitted,
    Record,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
)

EVERYBODY = ""
"""In the place of an actor's id: whoever is connected. No actor has an empty id."""

_ALL = "*"  # Empty braces would decide no slot, and no actor's id looks like this there.
_FEED = ":feed"
_DIGEST_BYTES = 32


def root_of(prefix: str, actor_id: str) -> str:
    """What the name of every key and channel of the actor starts with."""
    return f"{prefix}:{{{quote(actor_id, safe=':@') or _ALL}}}"


def channel_of(prefix: str, actor_id: str) -> bytes:
    """The channel that the actor's events are announced on."""
    return (root_of(prefix, actor_id) + _FEED).encode()


def actor_of(channel: bytes) -> str:
    """The actor whose channel it is."""
    start, end = channel.index(b"{") + 1, -len(_FEED) - 1
    name = channel[start:end].decode()
    return EVERYBODY if name == _ALL else unquote(name)


def probe_channel(prefix: str, token: str) -> bytes:
    """A channel that is no actor's."""
    return f"{prefix}:probe:{{{token}}}".encode()


def report_key(prefix: str, topic: str) -> str:
    """What nodes have left on a topic."""
    return f"{prefix}:report:{{{topic}}}"


def due_key(prefix: str, shard: int) -> str:
    """A part of what tells which sessions are due."""
    return f"{prefix}:due:{{{shard}}}"


def due_name(actor_id: str, digest: bytes) -> bytes:
    """What a session is called there."""
    return digest + actor_id.encode()


def read_due_name(name: bytes) -> tuple[str, bytes]:
    """The actor and the digest of the session that is called so."""
    return name[_DIGEST_BYTES:].decode(), name[:_DIGEST_BYTES]


def feed_root(prefix: str, shard: int) -> str:
    """What the name of every key of a part of the feed starts with."""
    return f"{prefix}:feed:{{{shard}}}"


def lease_key(prefix: str, name: str) -> str:
    """Who has something for itself, and how far it is with it."""
    return f"{prefix}:lease:{{{name}}}"


def decode_record(actor_id: str, fields: Sequence[Any]) -> Record:
    """Read the fields that a script returns for a session."""
    id_, meta, language, version, created_at, expires_at, ends_at, ttl_ms, revision = fields[:9]
    return Record(
        id=id_.decode(),
        actor_id=actor_id,
        meta=meta,
        language=language.decode(),
        version=None if version is None else version.decode(),
        created_at=int(created_at),
        expires_at=int(expires_at),
        ends_at=None if ends_at is None else int(ends_at),
        ttl_ms=int(ttl_ms),
        revision=1 if revision is None else int(revision),
    )


def decode_event(actor_id: str, event: bytes) -> StoredEvent:
    """
    Read an event.

    Raises:
        ValueError: If it is none.
    """
    match split(event):
        case [bytes(cursor), bytes(previous), bytes(kind), *values]:
            change = _decode_change(actor_id, kind, values)
            return StoredEvent(actor_id, int(cursor), int(previous), change)
    raise ValueError("not an event")


def read_head(event: bytes) -> tuple[bytes, int, bool]:
    """Its cursor, the one before it, and whether it is about a session, not a backend's."""
    values: list[bytes] = []
    start = 0
    for _ in range(3):
        colon = event.index(b":", start)
        end = colon + 1 + int(event[start:colon])
        values.append(event[colon + 1 : end])
        start = end
    cursor, previous, kind = values
    return cursor, int(previous), kind != b"emitted"


def _decode_change(actor_id: str, kind: bytes, values: list[bytes | None]) -> Change:
    match kind, values:
        case b"set", fields if len(fields) == 9:
            return SessionSet(decode_record(actor_id, fields))
        case b"unset", [bytes(session_id), bytes(reason)]:
            return SessionUnset(session_id.decode(), reason.decode())
        case b"unset", [bytes(session_id), bytes(reason), bytes(by), bytes(created_at)]:
            successor = Successor(by.decode(), int(created_at))
            return SessionUnset(session_id.decode(), reason.decode(), successor)
        case b"emitted", [bytes() | None as session_id, bytes(name), bytes(data)]:
            session_for = None if session_id is None else session_id.decode()
            return Emitted(session_for, name.decode(), data)
    raise ValueError("not an event")


def split(joined: bytes) -> list[bytes | None]:
    """
    Take apart what `join` in `_write.lua` put together.

    Raises:
        ValueError: If it did not.
    """
    values: list[bytes | None] = []
    start = 0
    while start < len(joined):
        colon = joined.index(b":", start)
        length = joined[start:colon]
        start = colon + 1
        if length == b"-":
            values.append(None)
        elif length.isdigit() and (end := start + int(length)) <= len(joined):
            values.append(joined[start:end])
            start = end
        else:
            raise ValueError("not a length of what follows")
    return values
