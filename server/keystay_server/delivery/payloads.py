"""
An event of the store as clients get it: its name and its data (SPEC section 5).
"""

from typing import Any

from keystay_protocol.codec import unpack
from keystay_protocol.events import SESSION_SET, SESSION_UNSET
from keystay_server.stores.base import Change, Emitted, SessionSet, SessionUnset

_AROUND = 512  # What is about equally long in every event: a key, an id, names, times.


def name_of(change: Change) -> str:
    """The name of the event."""
    match change:
        case SessionSet():
            return SESSION_SET
        case SessionUnset():
            return SESSION_UNSET
        case Emitted():
            return change.name


def data_of(change: Change, key: str) -> Any:
    """The data of the event, for a connection that holds this key."""
    match change:
        case SessionSet(record):
            return record.to_session(key).to_wire()
        case SessionUnset(session_id, reason, by):
            unset = {"reason": reason, "id": session_id}
            return unset if by is None else unset | {"by": by.to_wire()}
        case Emitted():
            return unpack(change.data)


def is_about(change: Change, session_id: str) -> bool:
    """Whether the event is one of the session: about it, or for all sessions of its actor."""
    match change:
        case SessionSet(record):
            return record.id == session_id
        case SessionUnset(ended):
            return ended == session_id
        case Emitted(addressed):
            return addressed is None or addressed == session_id


def bytes_of(change: Change) -> int:
    """How many bytes the event takes, about, and rather too many."""
    match change:
        case SessionSet(record):
            return _AROUND + len(record.meta)
        case SessionUnset():
            return _AROUND
        case Emitted():
            return _AROUND + len(change.data)
