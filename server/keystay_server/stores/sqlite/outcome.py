"""
What an operation tells memory, once its transaction is committed.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from keystay_server.stores.events import StoredEvent
from keystay_server.stores.records import Record


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A session that ended, and why."""

    actor_id: str
    reason: str
    ended_at: int


Entry = Record | Tombstone
"""What memory has for each digest."""


class Progress(Enum):
    """Where an operation stands that is done in steps."""

    DONE = auto()
    UNFINISHED = auto()
    """Sessions were ended; another step has to follow."""
    REFUSED = auto()
    """The policy refuses the session, although overdue ones were ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The events an operation appended, and the sessions it created, changed or ended."""

    events: list[StoredEvent] = field(default_factory=list)
    entries: dict[bytes, Entry] = field(default_factory=dict)
    forgotten: list[bytes] = field(default_factory=list)
    """Tombstones that were deleted, by digest."""
    late_ms: list[int] = field(default_factory=list)
    """How late each session was ended whose deadline had passed."""
    progress: Progress = Progress.DONE
