"""
The feed in SQLite, over restarts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keystay_server.stores.errors import NoFeed
from keystay_server.stores.position import Position
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore, housekeeping
from keystay_server.stores.sqlite.clock import unix_ms
from tests.support.stores.installation import Heard, new_session, opened

HOUR = 60 * 60 * 1000


@asynccontextmanager
async def running(
    path: Path, retention: Retention | None = None, later_ms: int = 0
) -> AsyncIterator[SqliteStore]:
    """Run a store over the file."""
    store = SqliteStore(
        str(path / "keystay.db"), retention or Retention(), lambda: unix_ms() + later_ms
    )
    await store.start(Heard())
    try:
        yield store
    finally:
        await store.stop()


async def end_of(store: SqliteStore) -> Position:
    """Where the feed ends."""
    return (await store.read_feed(None, 1)).position


async def actors(store: SqliteStore, after: Position) -> tuple[list[str], bool]:
    """Whom the rest is about, and whether it is complete."""
    page = await store.read_feed(after, 100)
    return [entry.actor_id for entry in page.entries], page.is_complete


async def test_a_position_outlives_the_server(tmp_path: Path) -> None:
    """What happens after a restart follows on what happened before."""
    async with running(tmp_path) as store:
        await opened(store, new_session("before"))
        end = await end_of(store)
        await opened(store, new_session("alice"))
        await store.lease("webhook", "one", 1000)
        assert await store.save_position("webhook", "one", end)
    async with running(tmp_path) as store:
        await opened(store, new_session("bob"))
        assert await store.saved_position("webhook") == end
        assert await actors(store, end) == (["alice", "bob"], True)


async def test_a_feed_that_was_off_is_another_one(tmp_path: Path) -> None:
    """It does not have what happened meanwhile, so an old position is lost."""
    async with running(tmp_path) as store:
        end = await end_of(store)
    async with running(tmp_path, Retention(feed_events=0)) as store:
        await opened(store, new_session("unheard"))
        with pytest.raises(NoFeed):
            await store.read_feed(end, 1)
    async with running(tmp_path) as store:
        assert await actors(store, end) == ([], False)
        await opened(store, new_session("alice"))
        assert await actors(store, end) == (["alice"], False)


async def test_a_new_file_is_another_feed(tmp_path: Path) -> None:
    """A position in another file is told so, however much has happened in this one."""
    async with running(tmp_path) as store:
        for _ in range(10):
            await opened(store, new_session())
        end = await end_of(store)
    (tmp_path / "new").mkdir()
    async with running(tmp_path / "new") as store:
        for _ in range(20):
            await opened(store, new_session())
        assert not (await actors(store, end))[1]


async def test_old_entries_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the newest, from which the next ones are counted."""
    async with running(tmp_path) as store:
        start = await end_of(store)
        for actor_id in ("alice", "bob", "carol"):
            await opened(store, new_session(actor_id))
        end = await end_of(store)
    monkeypatch.setattr(housekeeping, "EVERY_S", 0.01)
    async with running(tmp_path, later_ms=HOUR) as store:
        await opened(store, new_session("dave"))
        while len(told := (await actors(store, start))[0]) > 2:
            pass
        assert told == ["dave"]
        assert await actors(store, end) == (["dave"], True)
        assert not (await actors(store, start))[1]
