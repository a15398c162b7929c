"""
What was done once, and under which name: the table `once`.
"""

import sqlite3

from keystay_server.stores.errors import AlreadyApplied, IdempotencyConflict
from keystay_server.stores.events import StoredEvent
from keystay_server.stores.records import IDEMPOTENCY_MS, IdempotencyRecord, NewSession


def refuse(
    db: sqlite3.Connection, now: int, actor_id: str, idempotency: IdempotencyRecord | None
) -> None:
    """Raise if this, or something else under its name, was done before."""
    if idempotency is None:
        return
    done = db.execute(
        "SELECT content, cursor FROM once WHERE actor_id = ? AND name = ? AND until > ?",
        (actor_id, idempotency.name, now),
    ).fetchone()
    if done is not None:
        content, cursor = done
        raise AlreadyApplied(cursor) if content == idempotency.content else IdempotencyConflict


def refuse_opening(db: sqlite3.Connection, now: int, new: NewSession) -> None:
    """The same for a session, which may be known for longer than its name."""
    refuse(db, now, new.actor_id, new.idempotency)
    if new.idempotency is not None:
        found = db.execute("SELECT 1 FROM sessions WHERE digest = ?", (new.digest,))
        if found.fetchone() is not None:
            raise AlreadyApplied(1)


def remember(
    db: sqlite3.Connection, now: int, event: StoredEvent, idempotency: IdempotencyRecord | None
) -> None:
    """Note what was done, for its time."""
    if idempotency is not None:
        db.execute(
            "INSERT OR REPLACE INTO once (actor_id, name, content, cursor, until)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                event.actor_id,
                idempotency.name,
                idempotency.content,
                event.cursor,
                now + IDEMPOTENCY_MS,
            ),
        )


def forget(db: sqlite3.Connection, now: int, most: int) -> int:
    """Delete what was done long ago, `most` at most; how many."""
    names = db.execute(
        "SELECT actor_id, name FROM once WHERE until <= ? ORDER BY until LIMIT ?", (now, most)
    ).fetchall()
    db.executemany("DELETE FROM once WHERE actor_id = ? AND name = ?", names)
    return len(names)
