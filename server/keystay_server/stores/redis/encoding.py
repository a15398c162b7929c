"""
What scripts return and announce, as values.

What a script returns for a session is an array of its fields. An event is one
string of fields, the same in the history, in the log, in an announcement and in
an answer.
"""

from collections.abc import Sequence
from typing import Any

from keystay_server.stores.events import (
    Change,
    Emitted,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
)
from keystay_server.stores.records import Record


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
        revision=int(revision),
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
    start, total, index = 0, len(joined), joined.index
    while start < total:
        colon = index(b":", start)
        length = joined[start:colon]
        start = colon + 1
        if length == b"-":
            values.append(None)
            continue
        end = start + int(length)
        if not start <= end <= total:
            raise ValueError("not a length of what follows")
        values.append(joined[start:end])
        start = end
    return values


def split_announcement(payload: bytes) -> tuple[int, int, str, int]:
    """
    Read who an announcement is about, and nothing more: most are about nobody here.

    Returns its number, the partition's number before it, the actor, and where the
    event starts.

    Raises:
        ValueError: If it is no announcement.
    """
    number, previous, rest = payload.split(b" ", 2)
    colon = rest.index(b":")
    start = colon + 1
    end = start + int(rest[:colon])
    actor_id = rest[start:end].decode()
    return int(number), int(previous), actor_id, len(payload) - len(rest) + end
