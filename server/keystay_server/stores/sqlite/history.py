"""
The history of each actor: the tables `actors` and `events`.

A history has a little more events than it has to: deleting the oldest one with
each new one would read the whole history each time. Readers see the newest
`history_events` of them.
"""

import sqlite3
from dataclasses import dataclass

from keystay_server.stores.events import History, StoredEvent, moment_of
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite.changes import read_change


@dataclass(slots=True)
class Actor:
    """A row of `actors`."""

    last: int
    """Cursor of the newest event; 0 before the first."""
    floor: int
    """Cursor of the newest event that was forgotten."""
    kept: int
    """How many events the history has."""
    live: int
    """How many sessions were not ended, overdue ones included."""
    ended: int
    """How many tombstones there are."""
    review_at: int | None
    """When housekeeping has to look at the history; None: there is none."""
    is_stored: bool = True


def load(db: sqlite3.Connection, now: int, actor_id: str) -> Actor:
    """The actor's row; an actor that is not stored starts a new history now."""
    row = db.execute(
        "SELECT last, floor, kept, live, ended, review_at FROM actors WHERE actor_id = ?",
        (actor_id,),
    ).fetchone()
    return (
        Actor(0, now * 1024 - 1, 0, 0, 0, None, is_stored=False) if row is None else Actor(*row)
    )


def save(
    db: sqlite3.Connection, now: int, actor_id: str, actor: Actor, retention: Retention
) -> None:
    """Write the row, and delete the oldest events if there are too many."""
    if actor.kept > retention.history_events + retention.history_events // 4:
        _trim(db, actor_id, actor, retention.history_events)
    is_reviewed = actor.review_at is not None
    actor.review_at = actor.review_at or now + retention.history_ms
    values = (actor.last, actor.floor, actor.kept, actor.live, actor.ended)
    if not actor.is_stored:
        db.execute(
            "INSERT INTO actors (last, floor, kept, live, ended, review_at, actor_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, actor.review_at, actor_id),
        )
        return
    db.execute(
        "UPDATE actors SET last = ?, floor = ?, kept = ?, live = ?, ended = ?"
        " WHERE actor_id = ?",
        (*values, actor_id),
    )
    if not is_reviewed:  # Only then: to name an indexed column is to write the index.
        db.execute(
            "UPDATE actors SET review_at = ? WHERE actor_id = ?", (actor.review_at, actor_id)
        )


def read(
    db: sqlite3.Connection, now: int, actor_id: str, after: int, retention: Retention
) -> History:
    """The actor's events after a cursor: what `Store.history` says."""
    actor = load(db, now, actor_id)
    if not actor.is_stored:
        return History([], complete=False)
    if moment_of(actor.last) + retention.history_ms <= now:
        return History([], complete=after == actor.last)
    rows = db.execute(
        "SELECT cursor, previous, change FROM events"
        " WHERE actor_id = ? AND cursor > ? ORDER BY cursor DESC LIMIT ?",
        (actor_id, after, retention.history_events),
    ).fetchall()
    events = [
        StoredEvent(actor_id, cursor, previous, read_change(change))
        for cursor, previous, change in reversed(rows)
    ]
    floor = actor.floor
    if len(events) == retention.history_events:
        floor = max(floor, events[0].previous)
    # A cursor beyond the newest event is of another history, one that was lost.
    return History(events, complete=floor <= after <= actor.last)


def _trim(db: sqlite3.Connection, actor_id: str, actor: Actor, keep: int) -> None:
    (floor,) = db.execute(
        "SELECT previous FROM events WHERE actor_id = ? ORDER BY cursor DESC LIMIT 1 OFFSET ?",
        (actor_id, keep - 1),
    ).fetchone()
    db.execute("DELETE FROM events WHERE actor_id = ? AND cursor <= ?", (actor_id, floor))
    actor.floor, actor.kept = floor, keep
