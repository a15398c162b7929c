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

from keystay_server.stores.base import Retention, StoreError
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS, connect
from tests.raw_client import connected
from tests.server_process import serving


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
    """Opening changes nothing that is there."""
    connect(str(path)).close()
    db = connect(str(path))
    db.execute("INSERT INTO actors VALUES ('alice', 2, 1)")
    db.close()
    db = connect(str(path))
    assert db.execute("SELECT * FROM actors").fetchall() == [("alice", 2, 1)]
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
    db.execute("INSERT INTO actors VALUES ('alice', 2, 1)")
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with Path(f"{copy}-wal").open("ab") as log:
        log.write(b"half a page")
    again = connect(str(copy))
    assert again.execute("SELECT * FROM actors").fetchall() == [("alice", 2, 1)]
    for open_one in (db, again):
        open_one.close()


async def test_a_url_names_the_file() -> None:
    """Three slashes for a relative path, four for an absolute one; none is an error."""
    for url in ("sqlite://", "sqlite:///", "sqlite://host/file.db"):
        with pytest.raises(StoreError, match="sqlite:///PATH"):
            SqliteStore.from_url(url, Retention())


async def test_a_second_server_on_the_file_stops(path: Path) -> None:
    """It exits with 2 and one line; the first one serves on."""
    store = f"sqlite:///{path}"
    async with serving("--store", store) as server, connected(server.url) as client:
        command = [sys.executable, "-m", "keystay_server.cli", "serve", "--store", store]
        second = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        async with asyncio.timeout(10):
            out, err = await second.communicate()
        assert (second.returncode, out) == (2, b"")
        assert err.decode() == f"keystay: store: {path} is held by another process\n"
        assert await client.login()
