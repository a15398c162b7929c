"""
The database file: whose it is, and how old.
"""

import asyncio
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from keystay_protocol.errors import Expired, LoggedOut, SessionLimit
from keystay_server.stores.errors import StoreError
from keystay_server.stores.events import Emitted
from keystay_server.stores.records import NewSession, Policy
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.changes import write_change
from keystay_server.stores.sqlite.clock import unix_ms
from keystay_server.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS, connect
from tests.support.raw_client import connected
from tests.support.server_process import serving
from tests.support.stores.installation import EMPTY_MAP, Heard, new_session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database is to be."""
    return tmp_path / "keystay.db"


def value(db: sqlite3.Connection, pragma: str) -> Any:
    """What a pragma says."""
    return db.execute(f"PRAGMA {pragma}").fetchone()[0]


def test_a_new_file_is_of_the_newest_version(path: Path) -> None:
    """It is marked as ours, and a commit is on disk when it returns."""
    db = connect(str(path))
    assert value(db, "application_id") == APPLICATION_ID
    assert value(db, "user_version") == len(MIGRATIONS)
    assert (value(db, "journal_mode"), value(db, "synchronous")) == ("wal", 2)
    db.close()


def test_a_file_is_opened_again_as_it_was(path: Path) -> None:
    """SessionRequest changes nothing that is there."""
    connect(str(path)).close()
    db = connect(str(path))
    db.execute("INSERT INTO actors (actor_id, last, floor) VALUES ('alice', 2, 1)")
    db.close()
    db = connect(str(path))
    assert db.execute("SELECT actor_id, last, floor FROM actors").fetchall() == [
        ("alice", 2, 1)
    ]
    db.close()


def test_a_database_of_another_application_is_left_alone(path: Path) -> None:
    """It is refused by name, and nothing is written into it."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE games (name TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another application") as refusal:
        connect(str(path))
    assert str(path) in str(refusal.value)
    tables = sqlite3.connect(path)
    assert tables.execute("SELECT name FROM sqlite_schema").fetchall() == [("games",)]
    tables.close()
    assert len(path.read_bytes()) == len(before)


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    """Going back to an older server says so, with both versions."""
    db = connect(str(path))
    db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(StoreError, match=r"newer Keystay \(schema 999"):
        connect(str(path))


@pytest.mark.parametrize("damage", ["no database", "cut off", "overwritten"])
def test_a_broken_file_is_told(path: Path, damage: str) -> None:
    """In one line that names the file: nothing is guessed, and nothing thrown away."""
    db = connect(str(path))
    db.close()
    whole = path.read_bytes()
    broken = {
        "no database": b"this is no database, " * 500,
        "cut off": whole[: len(whole) // 2],
        "overwritten": whole[:100] + b"\xff" * (len(whole) - 100),
    }[damage]
    path.write_bytes(broken)
    with pytest.raises(StoreError) as refusal:
        connect(str(path))
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("file", ["no/such/directory.db", "."])
def test_a_file_that_cannot_be_made_is_told(tmp_path: Path, file: str) -> None:
    """The path is named."""
    with pytest.raises(StoreError, match=str(tmp_path)):
        connect(f"{tmp_path}/{file}")


def test_a_file_cut_off_by_a_crash_is_whole(path: Path, tmp_path: Path) -> None:
    """What a killed process leaves, file and log, is what was committed."""
    db = connect(str(path))
    db.execute("INSERT INTO actors (actor_id, last, floor) VALUES ('alice', 2, 1)")
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with Path(f"{copy}-wal").open("ab") as log:
        log.write(b"half a page")
    again = connect(str(copy))
    assert again.execute("SELECT actor_id, last, floor FROM actors").fetchall() == [
        ("alice", 2, 1)
    ]
    for open_one in (db, again):
        open_one.close()


async def test_a_url_names_the_file() -> None:
    """Three slashes for a relative path, four for an absolute one; none is an error."""
    for url in ("sqlite://", "sqlite:///", "sqlite://host/file.db"):
        with pytest.raises(StoreError, match="sqlite:///PATH"):
            SqliteStore.from_url(url, Retention())


async def test_a_second_server_on_the_file_stops(path: Path) -> None:
    """It exits with 75 and one line; the first one serves on."""
    store = f"sqlite:///{path}"
    async with serving("--store", store) as server, connected(server.url) as client:
        command = [sys.executable, "-m", "keystay_server.cli", "serve", "--store", store]
        second = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        async with asyncio.timeout(10):
            out, err = await second.communicate()
        assert (second.returncode, out) == (75, b"")
        assert err.decode() == f"keystay: store: {path} is held by another process\n"
        assert await client.login()


def old_file(path: Path, version: int) -> sqlite3.Connection:
    """A file as a server of an earlier schema left it."""
    db = sqlite3.connect(path, isolation_level=None)
    for step in MIGRATIONS[:version]:
        db.executescript(step)
    db.execute(f"PRAGMA user_version = {version}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return db


def old_session(db: sqlite3.Connection, new: NewSession, **columns: Any) -> None:
    """Write a session into it."""
    values = {
        "digest": new.digest,
        "id": new.id,
        "actor_id": new.actor_id,
        "meta": new.meta,
        "language": new.language,
        "created_at": unix_ms(),
        "expires_at": unix_ms() + new.ttl_ms,
        "ttl_ms": new.ttl_ms,
        "opened": unix_ms() * 1024,
    } | columns
    names = ", ".join(values)
    places = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO sessions ({names}) VALUES ({places})", tuple(values.values()))


async def test_a_file_of_the_schema_before_is_migrated(path: Path) -> None:
    """Sessions, tombstones, histories and counts are what they were; overdue ones end."""
    db = old_file(path, 4)
    live, ended, over = new_session(), new_session(), new_session("bob")
    old_session(db, live)
    old_session(db, ended, reason="loggedOut", ended_at=unix_ms())
    # It would have been deleted without an event by the server before.
    long_ago = unix_ms() - 100 * 24 * 3_600_000
    old_session(db, over, created_at=long_ago, expires_at=long_ago, opened=long_ago * 1024)
    said = Emitted(None, "app.said", EMPTY_MAP)
    cursor = unix_ms() * 1024 + 5
    db.execute("INSERT INTO events VALUES ('alice', ?, 0, ?)", (cursor, write_change(said)))
    db.execute("INSERT INTO actors VALUES ('alice', ?, ?)", (cursor, cursor - 10))
    db.execute("INSERT INTO actors VALUES ('bob', ?, ?)", (long_ago * 1024, long_ago * 1024))
    db.execute("INSERT INTO actors VALUES ('idle', ?, ?)", (long_ago * 1024, long_ago * 1024))
    db.close()

    store = SqliteStore(str(path), Retention())
    await store.start(Heard())
    assert (await store.restore("alice", live.digest)).cursor == cursor
    assert [event.change for event in (await store.history("alice", 0)).events] == [said]
    with pytest.raises(LoggedOut):
        await store.check("alice", ended.digest)
    with pytest.raises(SessionLimit):
        await store.create(new_session(), Policy(1, is_strict=True))
    [late_ms] = await store.expire()
    assert late_ms >= 100 * 24 * 3_600_000
    with pytest.raises(Expired):
        await store.check("bob", over.digest)
    assert len((await store.history("bob", 0)).events) == 1
    await store.stop()
    db = sqlite3.connect(path)
    rows = db.execute("SELECT actor_id, live, ended, kept FROM actors ORDER BY actor_id")
    assert [row for row in rows if row[0] != "idle"] == [("alice", 1, 1, 1), ("bob", 0, 1, 1)]
    db.close()


def test_a_file_of_any_earlier_schema_is_migrated(tmp_path: Path) -> None:
    """Step by step, to the same tables and indexes as a new file has."""
    schemas = set()
    for version in range(len(MIGRATIONS) + 1):
        file = tmp_path / f"{version}.db"
        if version:
            old_file(file, version).close()
        db = connect(str(file))
        schemas.add(tuple(sorted(db.execute("SELECT name, tbl_name FROM sqlite_schema"))))
        db.close()
    assert len(schemas) == 1
