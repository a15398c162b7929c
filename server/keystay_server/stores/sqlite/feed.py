"""
The feed: each creation, change and end of a session, in the order of the commits.

The oldest row is where the feed starts. There always is one, so that
positions go on from it; the first is a time in milliseconds x 1024, beyond
every position of a feed that was here before.
"""

import sqlite3
from itertools import takewhile

from keystay_server.stores.errors import NoFeed
from keystay_server.stores.events import Emitted, FeedEntry, FeedPage, SessionSet, SessionUnset
from keystay_server.stores.position import Position
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite.changes import read_change

_PRUNE_EVERY = 256
_PRUNE_STEP = 512
"""Entries deleted at once: more than are added, so that a lower limit is reached in steps."""


def begin(db: sqlite3.Connection, now: int, retention: Retention) -> None:
    """Start the feed, or drop it if none is to be kept: it would miss what happens now."""
    if not retention.feed_events:
        db.execute("DELETE FROM feed")
    elif db.execute("SELECT 1 FROM feed LIMIT 1").fetchone() is None:
        db.execute("INSERT INTO feed VALUES (?, '', 0, NULL)", (now * 1024,))


def append(
    db: sqlite3.Connection, actor_id: str, cursor: int, change: bytes, keep: int
) -> None:
    """Add an entry; now and then drop all but the newest ones."""
    position = db.execute(
        "INSERT INTO feed (actor_id, cursor, change) VALUES (?, ?, ?)",
        (actor_id, cursor, change),
    ).lastrowid
    assert position is not None
    if position % _PRUNE_EVERY == 0:
        prune(db, position - keep)


def prune(db: sqlite3.Connection, until: int) -> None:
    """Delete the oldest entries, up to this position."""
    (oldest,) = db.execute("SELECT min(position) FROM feed").fetchone()
    until = min(until, oldest + _PRUNE_STEP)
    db.execute("DELETE FROM feed WHERE position <= ?", (until,))


def forget(db: sqlite3.Connection, now: int, retention: Retention, most: int) -> int:
    """Delete entries that are too old, `most` at most, never the newest row; how many."""
    rows = db.execute(
        "SELECT position, cursor FROM feed WHERE position < (SELECT max(position) FROM feed)"
        " ORDER BY position LIMIT ?",
        (most,),
    ).fetchall()
    too_old = (now - retention.feed_ms) * 1024
    old = list(takewhile(lambda row: row[1] <= too_old, rows))
    if old:
        db.execute("DELETE FROM feed WHERE position <= ?", (old[-1][0],))
    return len(old)


def read(db: sqlite3.Connection, after: Position | None, most: int) -> FeedPage:
    """Read entries: what `Store.read_feed` says."""
    oldest, newest = db.execute("SELECT min(position), max(position) FROM feed").fetchone()
    if oldest is None:
        raise NoFeed
    if after is None:
        return FeedPage([], (newest,), is_complete=True, is_end=True)
    start = after[0] if len(after) == 1 and after[0] <= newest else 0
    rows = db.execute(
        "SELECT position, actor_id, cursor, change FROM feed WHERE position > ?"
        " ORDER BY position LIMIT ?",
        (start, most),
    ).fetchall()
    entries = [
        FeedEntry(0, position, actor_id, cursor, _session_change(change))
        for position, actor_id, cursor, change in rows
        if change is not None
    ]
    reached = rows[-1][0] if rows else newest
    is_complete = oldest - 1 <= start
    return FeedPage(entries, (reached,), is_complete, is_end=len(rows) < most)


def save_position(db: sqlite3.Connection, name: str, position: str) -> None:
    """Keep a position under a name."""
    db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (name, position))


def saved_position(db: sqlite3.Connection, name: str) -> str | None:
    """The position that was kept."""
    row = db.execute("SELECT position FROM positions WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def _session_change(packed: bytes) -> SessionSet | SessionUnset:
    change = read_change(packed)
    assert not isinstance(change, Emitted)
    return change
