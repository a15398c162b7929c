"""
The tables, and how an older file becomes a newer one.
"""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from keystay_server.stores.errors import StoreError, StoreNotReady

_TEMPORARY_ERRORS = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM),
    }
)
_TEMPORARY_OS_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    }
)

REPAIR = "docs/guides/backup.md, A damaged file"
"""What to do with a damaged file."""

APPLICATION_ID = 0x4B535459  # "KSTY": tells a file of ours from any other database.

MIGRATIONS = (
    """
    CREATE TABLE actors (
        actor_id TEXT PRIMARY KEY,
        last INTEGER NOT NULL,       -- cursor of the newest event
        floor INTEGER NOT NULL       -- cursor of the newest event that was forgotten
    ) WITHOUT ROWID;
    CREATE TABLE sessions (
        digest BLOB PRIMARY KEY,
        id TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        meta BLOB NOT NULL,
        language TEXT NOT NULL,
        version TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        ends_at INTEGER,
        ttl_ms INTEGER NOT NULL,
        opened INTEGER NOT NULL,     -- cursor of its first event: the order of sessions
        reason TEXT,                 -- NULL while it lives
        ended_at INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX sessions_of_actor ON sessions (actor_id, opened);
    CREATE INDEX sessions_by_deadline ON sessions (expires_at) WHERE reason IS NULL;
    CREATE TABLE events (
        actor_id TEXT NOT NULL,
        cursor INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        change BLOB NOT NULL,
        PRIMARY KEY (actor_id, cursor)
    ) WITHOUT ROWID;
    """,
    # An event of old cannot be read any more: nobody recovers beyond the update.
    """
    ALTER TABLE sessions ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
    DELETE FROM events;
    UPDATE actors SET floor = last
    """,
    """
    CREATE TABLE once (
        actor_id TEXT NOT NULL,
        name TEXT NOT NULL,
        content TEXT NOT NULL,
        cursor INTEGER NOT NULL,     -- of the event that was written under this name
        until INTEGER NOT NULL,      -- when it is forgotten
        PRIMARY KEY (actor_id, name)
    ) WITHOUT ROWID;
    CREATE INDEX once_by_end ON once (until)
    """,
    """
    CREATE TABLE feed (
        position INTEGER PRIMARY KEY,
        actor_id TEXT NOT NULL,
        cursor INTEGER NOT NULL,
        change BLOB                  -- NULL in the row that a feed starts with
    );
    CREATE TABLE positions (
        name TEXT PRIMARY KEY,
        position TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    # An index holds either live sessions or tombstones: no login reads past the other kind.
    # actors.kept: events in the history. live: sessions without a reason. ended: tombstones.
    # review_at: when housekeeping looks at the history; NULL: there is none. It moves once
    # per `history_ms`, and not with each event as `last` does.
    """
    DROP INDEX sessions_of_actor;
    CREATE INDEX live_of_actor ON sessions (actor_id, opened) WHERE reason IS NULL;
    CREATE INDEX deadlines_of_actor ON sessions (actor_id, expires_at) WHERE reason IS NULL;
    CREATE INDEX tombstones_of_actor ON sessions (actor_id, ended_at, opened)
        WHERE reason IS NOT NULL;
    CREATE INDEX tombstones_by_end ON sessions (ended_at) WHERE reason IS NOT NULL;
    ALTER TABLE actors ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE actors ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE actors ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE actors ADD COLUMN review_at INTEGER;
    UPDATE actors SET
        kept = (SELECT count(*) FROM events WHERE events.actor_id = actors.actor_id),
        live = (SELECT count(*) FROM sessions
                WHERE sessions.actor_id = actors.actor_id AND reason IS NULL),
        ended = (SELECT count(*) FROM sessions
                 WHERE sessions.actor_id = actors.actor_id AND reason IS NOT NULL),
        review_at = 0;
    CREATE INDEX actors_by_review ON actors (review_at) WHERE review_at IS NOT NULL
    """,
)
"""Step n takes a file from version n to n + 1. Steps are only ever added."""


def connect(path: str) -> sqlite3.Connection:
    """
    Open the file for this process alone and bring it to the newest version.

    A commit is on disk when it returns (synchronous=FULL): what was answered
    survives a killed process and a power loss.

    Raises:
        StoreNotReady: If the file is held by another process, or the disk is full.
        StoreError: If the file is not ours, was made by a newer version, or
            cannot be opened.
    """
    try:
        if path != ":memory:":
            # For the eyes of its owner only, and so what SQLite puts beside it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, timeout=0.5, isolation_level=None)
    except (OSError, sqlite3.Error, ValueError) as error:
        is_temporary = isinstance(error, OSError) and error.errno in _TEMPORARY_OS_ERRORS
        kind = StoreNotReady if is_temporary else StoreError
        raise kind(f"{path} cannot be opened: {error}") from error
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # Takes the lock that tells other processes off.
        db.execute("BEGIN EXCLUSIVE")
        _migrate(db, check_ours(db, path))
        db.execute("COMMIT")
    except (sqlite3.Error, StoreError) as error:
        db.close()
        if isinstance(error, StoreError):
            raise
        raise _explained(error, path) from error
    return db


def check_ours(db: sqlite3.Connection, path: str) -> int:
    """
    Return the version of the schema of a whole database of ours; 0 for an empty one.

    Raises:
        StoreError: If it is another's, of a newer version, or damaged.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        raise StoreError(f"{path} is a database of another application")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer Keystay (schema {version}, "
            f"this one knows {len(MIGRATIONS)})"
        )
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreError(f"{path} is damaged ({' '.join(found.split())}): see {REPAIR}")
    return int(version)


def examine(path: str) -> None:
    """
    Look at a file as `connect` does, and change nothing.

    Raises:
        StoreNotReady: If it is held by another process, such as a running server.
        StoreError: If a server could not use it.
    """
    try:
        with closing(
            sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=rw", uri=True)
        ) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            check_ours(db, path)
    except sqlite3.Error as error:
        raise _explained(error, path) from error


def is_damage(error: BaseException) -> bool:
    """Return whether SQLite has found that the file is damaged."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for step in MIGRATIONS[version:]:
        for statement in step.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _explained(error: sqlite3.Error, path: str) -> StoreError:
    code = _code(error)
    if is_damage(error):
        return StoreError(f"{path} is damaged, or no database ({error}): see {REPAIR}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreNotReady(f"{path} is held by another process")
    kind = StoreNotReady if code in _TEMPORARY_ERRORS else StoreError
    return kind(f"{path} cannot be used: {error}")


def _code(error: BaseException) -> int:
    # The low byte is the primary code; an error of the module itself has none.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
