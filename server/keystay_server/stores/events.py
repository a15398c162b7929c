"""
What happened to sessions, and how an actor's events are read again.
"""

from dataclasses import dataclass, field
from typing import Any

from keystay_server.stores.position import Position
from keystay_server.stores.records import IdempotencyRecord, Record


@dataclass(frozen=True, slots=True)
class SessionSet:
    """The session was created or changed; this is its new state."""

    record: Record


@dataclass(frozen=True, slots=True)
class Successor:
    """The session that replaced another one."""

    id: str
    created_at: int

    def to_wire(self) -> dict[str, Any]:
        """What the `session.unset` of the replaced session carries (SPEC section 5)."""
        return {"id": self.id, "createdAt": self.created_at}


@dataclass(frozen=True, slots=True)
class SessionUnset:
    """The session ended; `by` is the one that replaced it, if any."""

    session_id: str
    reason: str
    by: Successor | None = None


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event of a backend: for one session, or for all that it is announced to."""

    session_id: str | None
    name: str
    data: bytes
    """Any MessagePack value; stores do not look inside."""
    idempotency: IdempotencyRecord | None = field(default=None, compare=False)
    """For `Store.emit` alone: no history keeps it."""


Change = SessionSet | SessionUnset | Emitted


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """
    One entry of an actor's history.

    `cursor` is at least the store's Unix milliseconds x 1024, and always more
    than the cursor before it: it grows even if the history was lost, and it
    stays below 2**53. `previous` is the cursor of the actor's event before
    this one, or 0 where the store knows of none.
    """

    actor_id: str
    cursor: int
    previous: int
    change: Change


@dataclass(frozen=True, slots=True)
class History:
    """
    The events after a cursor, oldest first.

    Not `complete` if some of them were forgotten, if the actor is not
    remembered at all, or if the cursor is beyond the newest event.
    """

    events: list[StoredEvent]
    complete: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """A live session that was restored, and the position of its actor's events."""

    record: Record
    cursor: int
    """The newest cursor of the actor, at the same moment."""
    missed: History | None = None
    """The events after the cursor that was given, up to `cursor`; None without one."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of the feed: the entry `number` of its log."""

    log: int
    number: int
    actor_id: str
    cursor: int
    change: SessionSet | SessionUnset


@dataclass(frozen=True, slots=True)
class FeedPage:
    """
    A part of the feed, and the position after it.

    Not complete if entries between the position that was given and the first
    of these were forgotten, or the position is of another feed. At the end if
    there was nothing more when this was read.
    """

    entries: list[FeedEntry]
    position: Position
    is_complete: bool
    is_end: bool


def next_cursor(last: int, now_ms: int) -> int:
    """The cursor after `last`: the store's clock, or one more where that has not moved on."""
    return max(last + 1, now_ms * 1024)


def moment_of(cursor: int) -> int:
    """When the event of this cursor was written: Unix milliseconds by the store's clock."""
    return cursor // 1024
