"""
What one operation writes: events, created sessions, ended sessions.

The row of each actor is read once and written once, however many events there
are: ending a hundred sessions of one actor is not a hundred updates of it.
"""

import sqlite3
from typing import NamedTuple

from keystay_server.stores.base import END_STEP
from keystay_server.stores.events import (
    Change,
    Emitted,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
    next_cursor,
)
from keystay_server.stores.records import Record
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import feed, history
from keystay_server.stores.sqlite.changes import RECORD_COLUMNS, row_of, write_change
from keystay_server.stores.sqlite.outcome import Entry, Outcome, Progress, Tombstone

_FORGET_STEP = 2 * END_STEP
"""Tombstones deleted at once: more than are made, so that a lower limit is reached in steps."""


class Found(NamedTuple):
    """A session that was not ended yet, as the index finds it."""

    digest: bytes
    actor_id: str
    id: str
    expires_at: int
    opened: int


class Batch:
    """Collects what an operation does; `close` completes it."""

    def __init__(self, db: sqlite3.Connection, now: int, retention: Retention) -> None:
        self._db = db
        self._now = now
        self._retention = retention
        self._actors: dict[str, history.Actor] = {}
        self._events: list[StoredEvent] = []
        self._entries: dict[bytes, Entry] = {}
        self._late_ms: list[int] = []

    def actor(self, actor_id: str) -> history.Actor:
        """The actor's row, as this operation has left it so far."""
        if actor_id not in self._actors:
            self._actors[actor_id] = history.load(self._db, self._now, actor_id)
        return self._actors[actor_id]

    def append(self, actor_id: str, change: Change) -> StoredEvent:
        """Append an event to the history, and to the feed if it is about a session."""
        actor, packed = self.actor(actor_id), write_change(change)
        previous, actor.last = actor.last, next_cursor(actor.last, self._now)
        actor.kept += 1
        self._db.execute(
            "INSERT INTO events (actor_id, cursor, previous, change) VALUES (?, ?, ?, ?)",
            (actor_id, actor.last, previous, packed),
        )
        if self._retention.feed_events and not isinstance(change, Emitted):
            feed.append(self._db, actor_id, actor.last, packed, self._retention.feed_events)
        event = StoredEvent(actor_id, actor.last, previous, change)
        self._events.append(event)
        return event

    def create(self, digest: bytes, record: Record) -> StoredEvent:
        """Store a new session."""
        event = self.append(record.actor_id, SessionSet(record))
        self.actor(record.actor_id).live += 1
        self._entries[digest] = record
        values = (digest, event.cursor, *row_of(record))
        self._db.execute(
            f"INSERT INTO sessions (digest, opened, {RECORD_COLUMNS})"  # noqa: S608
            f" VALUES ({', '.join('?' * len(values))})",
            values,
        )
        return event

    def change(self, digest: bytes, record: Record) -> None:
        """Store new meta, language and revision of a session."""
        self.append(record.actor_id, SessionSet(record))
        self._entries[digest] = record
        self._db.execute(
            "UPDATE sessions SET meta = ?, language = ?, revision = ? WHERE digest = ?",
            (record.meta, record.language, record.revision, digest),
        )

    def end(self, sessions: list[Found], reason: str, by: Successor | None = None) -> None:
        """End sessions, each with an event, a feed entry and a tombstone."""
        for session in sessions:
            self.append(session.actor_id, SessionUnset(session.id, reason, by))
            actor = self.actor(session.actor_id)
            actor.live -= 1
            actor.ended += 1
            self._entries[session.digest] = Tombstone(session.actor_id, reason, self._now)
        self._db.executemany(
            "UPDATE sessions SET reason = ?, ended_at = ?, meta = x'80' WHERE digest = ?",
            [(reason, self._now, session.digest) for session in sessions],
        )

    def expire(self, sessions: list[Found]) -> None:
        """End sessions whose deadline has passed."""
        self.end(sessions, "expired")
        self._late_ms += [self._now - session.expires_at for session in sessions]

    def close(self, progress: Progress = Progress.DONE) -> Outcome:
        """Write the actors' rows; what memory has to learn."""
        forgotten: list[bytes] = []
        for actor_id, actor in self._actors.items():
            if actor.ended > self._retention.tombstones:
                forgotten += self._forget(actor_id, actor)
            history.save(self._db, self._now, actor_id, actor, self._retention)
        return Outcome(self._events, self._entries, forgotten, self._late_ms, progress)

    def _forget(self, actor_id: str, actor: history.Actor) -> list[bytes]:
        """Delete the oldest tombstones of an actor that has too many."""
        most = min(actor.ended - self._retention.tombstones, _FORGET_STEP)
        digests = self._db.execute(
            "SELECT digest FROM sessions INDEXED BY tombstones_of_actor"
            " WHERE actor_id = ? AND reason IS NOT NULL ORDER BY ended_at, opened LIMIT ?",
            (actor_id, most),
        ).fetchall()
        self._db.executemany("DELETE FROM sessions WHERE digest = ?", digests)
        actor.ended -= len(digests)
        return [digest for (digest,) in digests]
