"""
A database file that is damaged, deleted, moved, replaced or truncated.
"""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import StoreError, StoreNotReady
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.schema import connect, examine
from tests.support.stores.installation import Heard, new_session, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with some pages."""
    path = tmp_path / "keystay.db"
    db = connect(str(path))
    for number in range(2000):
        db.execute("INSERT INTO actors (actor_id, last, floor) VALUES (?, 2, 1)", (number,))
    db.close()
    return path


def with_damaged_page(path: Path) -> None:
    """Overwrite a page in the middle."""
    middle = path.stat().st_size // 2 // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(b"\xff" * 4096)


def of_random_bytes(path: Path) -> None:
    """Overwrite all of it."""
    path.write_bytes(os.urandom(64 * 1024))


def cut_in_the_middle(path: Path) -> None:
    """Keep the first half."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [with_damaged_page, of_random_bytes, cut_in_the_middle])
def test_a_damaged_file_is_refused_in_one_line(
    path: Path, damage: Callable[[Path], None]
) -> None:
    """By a server that starts and by `keystay doctor`, in the same words."""
    damage(path)
    with pytest.raises(StoreError, match="is damaged") as starting:
        connect(str(path))
    with pytest.raises(StoreError, match="is damaged") as examining:
        examine(str(path))
    for refusal in (starting, examining):
        assert not isinstance(refusal.value, StoreNotReady)
        assert "\n" not in str(refusal.value)
        assert "docs/guides/backup.md" in str(refusal.value)


def test_a_whole_file_is_examined_without_a_change(path: Path) -> None:
    """No other file is left beside it; one that a server has open is not damaged."""
    before = path.read_bytes()
    examine(str(path))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    db = connect(str(path))
    with pytest.raises(StoreNotReady, match="is held by another process"):
        examine(str(path))
    db.close()


def deleted(path: Path) -> None:
    """Delete the database."""
    path.unlink()


def moved(path: Path) -> None:
    """Give it another name."""
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    """Put a copy in its place, as an editor or a restored backup does."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    copy.replace(path)


def truncated(path: Path) -> None:
    """Cut off all of it."""
    os.truncate(path, 0)


def without_log(path: Path) -> None:
    """Delete the write-ahead log."""
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("change", [deleted, moved, replaced, truncated, without_log])
async def test_what_would_be_lost_is_not_answered(
    path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    """Nothing is written any more, the node is not ready, and one line says why."""
    store = SqliteStore(str(path), Retention())
    await store.start(Heard())
    new = new_session("alice")
    await opened(store, new)
    await store.probe()
    change(path)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await opened(store, new_session("bob"))
        with pytest.raises(Unavailable):
            await store.probe()
    assert (await store.check("alice", new.digest)).id == new.id, "from memory"
    await store.stop()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "nothing is written any more" in errors[0].getMessage()


async def test_a_file_that_is_back_is_used_again(path: Path) -> None:
    """It was moved, and moved back: nothing is lost."""
    store = SqliteStore(str(path), Retention())
    await store.start(Heard())
    moved(path)
    with pytest.raises(Unavailable):
        await store.probe()
    path.with_name("moved.db").rename(path)
    await store.probe()
    await opened(store, new_session("bob"))
    await store.stop()
