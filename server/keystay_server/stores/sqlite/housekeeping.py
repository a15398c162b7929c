"""
Deletes what is too old, a few rows at a time.

Each step is a transaction of its own, finds its rows by an index, and changes
no row that stays as it is. Other writes take turns with the steps, so none
waits for more than one of them.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable

from keystay_server.stores.events import moment_of
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import feed, idempotency

STEP = 25
"""Rows that one step deletes, more or less. Each may lie on other pages, in each index."""
CHECKPOINT_PAGES, USUAL_CHECKPOINT_PAGES = 250, 1000
"""A commit now and then copies so much of the log into the file, and others wait for that.

Less at a time costs throughput, so it is only while there is something to delete.
"""
PAUSE_S = 0.01
"""Between steps: most of the time the database is free for others."""
EVERY_S = 60.0

Step = Callable[[sqlite3.Connection, int, Retention], tuple[int, list[bytes]]]
"""Given the time; how many rows it deleted or changed, and the tombstones among them."""


def forget_tombstones(
    db: sqlite3.Connection, now: int, retention: Retention
) -> tuple[int, list[bytes]]:
    """Delete tombstones that are older than `tombstone_ms`."""
    rows = db.execute(
        "SELECT digest, actor_id FROM sessions INDEXED BY tombstones_by_end"
        " WHERE reason IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT ?",
        (now - retention.tombstone_ms, STEP),
    ).fetchall()
    digests = [digest for digest, _ in rows]
    counts = Counter(actor_id for _, actor_id in rows)
    db.executemany("DELETE FROM sessions WHERE digest = ?", [(digest,) for digest in digests])
    db.executemany(
        "UPDATE actors SET ended = ended - ? WHERE actor_id = ?",
        [(count, actor_id) for actor_id, count in counts.items()],
    )
    # One with a history goes with that.
    db.executemany(
        "DELETE FROM actors"
        " WHERE actor_id = ? AND live = 0 AND ended = 0 AND review_at IS NULL",
        [(actor_id,) for actor_id in counts],
    )
    return len(rows), digests


def forget_histories(
    db: sqlite3.Connection, now: int, retention: Retention
) -> tuple[int, list[bytes]]:
    """Delete histories without an event for `history_ms`, and actors that have nothing else."""
    rows = db.execute(
        "SELECT actor_id, last, kept, live + ended FROM actors INDEXED BY actors_by_review"
        " WHERE review_at IS NOT NULL AND review_at <= ? ORDER BY review_at LIMIT ?",
        (now, STEP),
    ).fetchall()
    done = deleted = 0
    for actor_id, last, kept, sessions in rows:
        if deleted + kept > STEP and done:
            break
        _review(db, actor_id, moment_of(last) + retention.history_ms, now, sessions)
        done, deleted = done + 1, deleted + kept
    return done, []


def forget_once(
    db: sqlite3.Connection, now: int, retention: Retention
) -> tuple[int, list[bytes]]:
    """Delete the names of requests that were made long ago."""
    return idempotency.forget(db, now, STEP), []


def forget_feed(
    db: sqlite3.Connection, now: int, retention: Retention
) -> tuple[int, list[bytes]]:
    """Delete entries of the feed that are older than `feed_ms`."""
    return feed.forget(db, now, retention, STEP), []


STEPS: tuple[Step, ...] = (forget_tombstones, forget_histories, forget_once, forget_feed)


def take(
    step: Step, db: sqlite3.Connection, now: int, retention: Retention
) -> tuple[int, list[bytes]]:
    """Take a step."""
    done = step(db, now, retention)
    pages = CHECKPOINT_PAGES if done[0] else USUAL_CHECKPOINT_PAGES
    db.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    return done


async def keep(do: Callable[[Step], Awaitable[int]]) -> None:
    """Delete what is too old, again and again; `do` takes a step: how many rows it found."""
    while True:
        for step in STEPS:
            found = await do(step)
            while found:
                await asyncio.sleep(PAUSE_S)
                found = await do(step)
        await asyncio.sleep(EVERY_S)


def _review(
    db: sqlite3.Connection, actor_id: str, forget_at: int, now: int, sessions: int
) -> None:
    if forget_at > now:
        values = (forget_at, actor_id)
        db.execute("UPDATE actors SET review_at = ? WHERE actor_id = ?", values)
        return
    db.execute("DELETE FROM events WHERE actor_id = ?", (actor_id,))
    if sessions:
        db.execute(
            "UPDATE actors SET floor = last, kept = 0, review_at = NULL WHERE actor_id = ?",
            (actor_id,),
        )
    else:
        db.execute("DELETE FROM actors WHERE actor_id = ?", (actor_id,))
