"""
How records and changes are kept in columns.
"""

from typing import Any

from keystay_protocol.codec import pack, unpack
from keystay_server.stores.events import Change, Emitted, SessionSet, SessionUnset, Successor
from keystay_server.stores.records import Record

RECORD_COLUMNS = (
    "id, actor_id, meta, language, version, created_at, expires_at, ends_at, ttl_ms, revision"
)
"""The columns of a record in the table `sessions`, in the order of its fields."""


def row_of(record: Record) -> tuple[Any, ...]:
    """The values of a record, in the order of its fields."""
    return (
        record.id,
        record.actor_id,
        record.meta,
        record.language,
        record.version,
        record.created_at,
        record.expires_at,
        record.ends_at,
        record.ttl_ms,
        record.revision,
    )


def write_change(change: Change) -> bytes:
    """A change as one value."""
    match change:
        case SessionSet(record):
            return pack(["set", *row_of(record)])
        case SessionUnset(session_id, reason, by):
            return pack(["unset", session_id, reason, by and [by.id, by.created_at]])
        case Emitted(session_id, name, data):
            return pack(["emitted", session_id, name, data])


def read_change(packed: bytes) -> Change:
    """The change that was written so."""
    match unpack(packed):
        case ["set", *row]:
            return SessionSet(Record(*row))
        case ["unset", session_id, reason, by]:
            return SessionUnset(session_id, reason, by and Successor(*by))
        case ["emitted", session_id, name, data]:
            return Emitted(session_id, name, data)
    raise AssertionError("a change that nobody wrote")
