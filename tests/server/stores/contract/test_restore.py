"""
What every store promises about restores: they are reads.
"""

import asyncio
from contextlib import suppress

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, NoSession, SessionEnded
from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, History, Restored, SessionSet
from keystay_server.stores.records import Changes
from keystay_server.stores.retention import Retention
from tests.server.stores.contract.test_feed import now
from tests.support.stores.installation import (
    EMPTY_MAP,
    Installation,
    expire_all,
    new_session,
    opened,
)

SECOND = 1_000
MINUTE = 60 * SECOND


async def test_a_restore_is_silent(installation: Installation) -> None:
    """Extending or not, it is in no history and in no feed, and nobody is told."""
    store, new = installation.store, new_session()
    installation.listen("alice")
    event = await opened(store, new)
    feed = await now(store)
    for ms in (0, MINUTE // 2):
        installation.pass_time(ms)
        for node in installation.nodes:
            await node.restore("alice", new.digest)
    marker = await store.emit("alice", Emitted(None, "app.marker", EMPTY_MAP))
    assert (await store.history("alice", 0)).events == [event, marker]
    for listener in installation.heard:
        assert [await listener.event() for _ in range(2)] == [event, marker]
    page = await store.read_feed(feed, 10)
    assert (page.entries, page.is_end) == ([], True)


async def test_a_restore_returns_the_record_and_the_newest_cursor(
    installation: Installation,
) -> None:
    """On every node: as the session is now, and where its actor's events stand."""
    store, new = installation.store, new_session()
    event = await opened(store, new)
    assert isinstance(event.change, SessionSet)
    for node in installation.nodes:
        restored = await node.restore("alice", new.digest)
        assert restored == Restored(event.change.record, event.cursor, None)
    later = await store.emit("alice", Emitted(None, "app.said", EMPTY_MAP))
    assert (await store.restore("alice", new.digest)).cursor == later.cursor
    changed = await store.change("alice", new.id, Changes(language="fi"), None)
    assert isinstance(changed.change, SessionSet)
    for node in installation.nodes:
        restored = await node.restore("alice", new.digest)
        assert restored == Restored(changed.change.record, changed.cursor, None)


async def test_a_restore_extends_when_a_third_of_the_ttl_is_gone(
    installation: Installation,
) -> None:
    """Before that the deadline stays; after it, it is one ttl from now, on every node."""
    first, last = installation.nodes[0], installation.nodes[-1]
    new = new_session()
    await opened(first, new)
    created = await first.check("alice", new.digest)
    installation.pass_time(15 * SECOND)
    assert (await last.restore("alice", new.digest)).record == created
    installation.pass_time(5 * SECOND)
    restored = (await last.restore("alice", new.digest)).record
    assert 0 <= restored.expires_at - created.expires_at - 20 * SECOND < 5 * SECOND
    assert restored.created_at == created.created_at
    assert await first.check("alice", new.digest) == restored
    assert (await first.restore("alice", new.digest)).record == restored


@pytest.mark.parametrize("back", range(4))
async def test_a_restore_returns_what_was_missed(store: Store, back: int) -> None:
    """The events after the cursor, up to the newest one: none, one or several."""
    new = new_session()
    await opened(store, new)
    said = [await store.emit("alice", Emitted(None, f"app.{i}", EMPTY_MAP)) for i in range(5)]
    after = said[4 - back].cursor
    restored = await store.restore("alice", new.digest, after)
    assert restored.missed == History(said[5 - back :], complete=True)
    assert restored.cursor == said[-1].cursor


@pytest.mark.parametrize("retention", [Retention(history_events=5, history_ms=MINUTE)])
async def test_a_restore_says_that_more_was_missed(installation: Installation) -> None:
    """If the history does not reach back, is forgotten, or never had the cursor."""
    store, new = installation.store, new_session(ttl_ms=10 * MINUTE)
    first = await opened(store, new)
    said = [await store.emit("alice", Emitted(None, f"app.{i}", EMPTY_MAP)) for i in range(8)]
    for after in (0, first.cursor, said[0].cursor):
        restored = await store.restore("alice", new.digest, after)
        assert restored.missed == History(said[3:], complete=False)
    restored = await store.restore("alice", new.digest, said[-1].cursor + 1)
    assert restored.missed == History([], complete=False)
    installation.pass_time(2 * MINUTE)
    restored = await store.restore("alice", new.digest, said[4].cursor)
    assert restored.missed == History([], complete=False)
    restored = await store.restore("alice", new.digest, said[-1].cursor)
    assert restored.missed == History([], complete=True)
    assert restored.cursor == said[-1].cursor


async def test_a_restore_that_is_refused_changes_nothing(installation: Installation) -> None:
    """Neither does the key of another actor, nor one that ended, is over, or never was."""
    store, ended, over = installation.store, new_session(), new_session(ttl_ms=MINUTE // 2)
    for new in (ended, over):
        await opened(store, new)
    [last] = await store.end("alice", ended.id, LogoutScope.THIS, "loggedOut")
    installation.pass_time(MINUTE // 2)
    for after in (None, 0, last.cursor):
        with pytest.raises(SessionEnded):
            await store.restore("alice", ended.digest, after)
        with pytest.raises(Expired):
            await store.restore("alice", over.digest, after)
        for actor_id in ("alice", "bob", "nobody"):
            with pytest.raises(NoSession):
                await store.restore(actor_id, new_session().digest, after)
        with pytest.raises(NoSession):
            await store.restore("bob", over.digest, after)
    assert (await store.history("alice", last.cursor)).events == []


async def test_a_restored_record_is_of_the_cursor_that_comes_with_it(
    installation: Installation,
) -> None:
    """While the session is changed all the time: missed, cursor and record are one moment."""
    store, new = installation.store, new_session()
    start = (await opened(store, new)).cursor

    async def change() -> None:
        for i in range(60):
            await store.change("alice", new.id, Changes(language=f"l{i}"), None)
        await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")

    async def restore(number: int) -> int:
        node, count = installation.nodes[number % len(installation.nodes)], 0
        with suppress(SessionEnded):
            while True:
                restored = await node.restore("alice", new.digest, start)
                assert restored.missed is not None
                assert restored.missed.complete
                events = restored.missed.events
                assert restored.cursor == (events[-1].cursor if events else start)
                assert restored.record.revision == 1 + len(events)
                count += 1
                await asyncio.sleep(0)
        return count

    *counts, _ = await asyncio.gather(*map(restore, range(4)), change())
    assert all(counts)


async def test_a_session_that_is_restored_again_and_again_goes_on(
    installation: Installation,
) -> None:
    """However short before the deadline it comes, an extension is one for every node."""
    first, last, new = installation.nodes[0], installation.nodes[-1], new_session()
    await opened(first, new)
    await first.expire()
    for _ in range(5):
        installation.pass_time(50 * SECOND)
        await last.restore("alice", new.digest)
        assert await expire_all(first) == []
    installation.pass_time(MINUTE)
    await installation.end_what_is_due()
    with pytest.raises(Expired):
        await last.restore("alice", new.digest)
