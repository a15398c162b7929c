"""A session in a file: private, whole, and never in the way."""

import asyncio
import stat
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

import keystay
from keystay import FileSessionStore, StoredSession
from tests.support.client_py.golden import CURSOR, KEY, OTHER_KEY
from tests.support.client_py.peer import WAIT_S

SAVE_FOR_EVER = """
import itertools, sys, keystay
store = keystay.FileSessionStore(sys.argv[1])
for cursor in itertools.count():
    store.save(keystay.StoredSession("a:" + "k" * 60_000, cursor))
    if cursor == 20:
        print(flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be."""
    return tmp_path / "session"


@pytest.mark.parametrize("stored", [StoredSession(KEY, CURSOR), StoredSession("Zoë:k", None)])
def test_what_was_saved_is_loaded(path: Path, stored: StoredSession) -> None:
    """By another object too, as in another run."""
    FileSessionStore(path).save(StoredSession(OTHER_KEY, 1))
    FileSessionStore(path).save(stored)
    assert FileSessionStore(str(path)).load() == stored


def test_only_its_user_can_read_it(path: Path) -> None:
    """The mode is 0600, also if the file was open to others before."""
    path.write_text("{}")
    path.chmod(0o644)
    FileSessionStore(path).save(StoredSession(KEY))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    """Neither by saving nor by clearing, which may be done twice."""
    store = FileSessionStore(path)
    store.save(StoredSession(KEY))
    store.save(StoredSession(KEY, 1))
    assert list(path.parent.iterdir()) == [path]
    store.clear()
    store.clear()
    assert list(path.parent.iterdir()) == []
    assert store.load() is None


def test_a_reader_never_sees_half_of_it(path: Path) -> None:
    """Whoever has the file open goes on reading what was saved before, whole."""
    store = FileSessionStore(path)
    store.save(StoredSession(KEY))
    with path.open() as before:
        store.save(StoredSession(OTHER_KEY))
        assert KEY in before.read()


async def test_a_program_that_is_killed_while_it_saves(path: Path) -> None:
    """SIGKILL leaves one of the states that were saved."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SAVE_FOR_EVER, str(path)), stdout=PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        await process.stdout.readline()
        process.kill()
        await process.wait()
    stored = FileSessionStore(path).load()
    assert stored is not None
    assert stored.cursor is not None
    assert stored.cursor >= 20


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b'{"key": "player:7:kst_',
        b"[]",
        b"null",
        b"{}",
        b'{"key": 7, "cursor": null}',
        b'{"key": "a:b", "cursor": -1}',
        b'{"key": "a:b", "cursor": true}',
        b'{"key": "a:b", "cursor": 9007199254740992}',
        b"9" * 5000,
        b"[" * 100_000,
    ],
)
def test_a_file_with_nothing_of_use(path: Path, content: bytes) -> None:
    """It counts as none, and can be saved over."""
    path.write_bytes(content)
    store = FileSessionStore(path)
    assert store.load() is None
    store.save(StoredSession(KEY))
    assert store.load() == StoredSession(KEY)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is stored in it, and it is not made: its mode is the program's to choose."""
    store = FileSessionStore(tmp_path / "none" / "session")
    assert store.load() is None
    store.clear()
    with pytest.raises(FileNotFoundError):
        store.save(StoredSession(KEY))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced(path: Path) -> None:
    """The attempt leaves nothing behind."""
    path.mkdir()
    (path / "other").touch()
    with pytest.raises(OSError, match="directory"):
        FileSessionStore(path).save(StoredSession(KEY))
    assert list(path.parent.iterdir()) == [path]


def test_a_program_that_changes_its_directory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is one from where the program was when it made the store."""
    monkeypatch.chdir(path.parent)
    store = FileSessionStore("session")
    monkeypatch.chdir("/")
    store.save(StoredSession(KEY))
    assert path.exists()


@pytest.mark.parametrize(
    ("key", "cursor"), [(b"k", None), (None, None), ("k", 1.0), ("k", 2**53)]
)
def test_a_stored_session_is_always_one_that_can_be_restored(key: Any, cursor: Any) -> None:
    """What is none is refused where it is made."""
    with pytest.raises(ValueError, match="is a"):
        StoredSession(key, cursor)


def test_no_key_is_shown() -> None:
    """The repr of a stored session tells the cursor only; that of a store, its path."""
    assert repr(StoredSession(KEY, 7)) == "StoredSession(cursor=7)"
    assert repr(keystay.FileSessionStore("/tmp/s")) == "FileSessionStore('/tmp/s')"
