"""
How a change is told to clients: the name and the data of its event (SPEC section 5).
"""

from typing import Any

from keystay_protocol.codec import unpack
from keystay_protocol.events import SESSION_SET, SESSION_UNSET
from keystay_server.stores.base import Change, Emitted, SessionSet, SessionUnset


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


def bytes_of(change: Change) -> int:
    """About how much there is to tell."""
    match change:
        case SessionSet(record):
            return len(record.meta)
        case SessionUnset():
            return 0
        case Emitted():
            return len(change.data)
