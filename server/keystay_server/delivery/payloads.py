"""
The name and the data of an event, as clients get them (SPEC section 5).
"""

from typing import Any

from keystay_protocol.codec import unpack
from keystay_protocol.events import SESSION_SET, SESSION_UNSET
from keystay_server.stores.events import Change, Emitted, SessionSet, SessionUnset

_OVERHEAD = 512  # About what every event has: a key, an id, names, times.


def name_of(change: Change) -> str:
    """Return the name of the event."""
    match change:
        case SessionSet():
            return SESSION_SET
        case SessionUnset():
            return SESSION_UNSET
        case Emitted():
            return change.name


def data_of(change: Change, key: str) -> Any:
    """Return the data of the event, for a connection that holds this key."""
    match change:
        case SessionSet(record):
            return record.to_session(key).to_wire()
        case SessionUnset(session_id, reason, by):
            unset = {"reason": reason, "id": session_id}
            return unset if by is None else unset | {"by": by.to_wire()}
        case Emitted():
            return unpack(change.data)


def is_about(change: Change, session_id: str) -> bool:
    """Whether the event concerns the session, alone or with all others of its actor."""
    match change:
        case SessionSet(record):
            return record.id == session_id
        case SessionUnset(ended):
            return ended == session_id
        case Emitted(addressed):
            return addressed is None or addressed == session_id


def bytes_of(change: Change) -> int:
    """Return about how many bytes the event has, rather too many."""
    match change:
        case SessionSet(record):
            return _OVERHEAD + len(record.meta)
        case SessionUnset():
            return _OVERHEAD
        case Emitted():
            return _OVERHEAD + len(change.data)
