"""
What every store promises about changed sessions and about what backends say.
"""

import asyncio

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession
from keystay_server.stores.base import Store
from keystay_server.stores.errors import RevisionConflict
from keystay_server.stores.events import Emitted, SessionSet, StoredEvent
from keystay_server.stores.records import Changes
from tests.support.stores.installation import (
    EMPTY_MAP,
    Installation,
    new_session,
    opened,
    sessions_of,
)

NEW_META = b"\x81\xa4name\xa3Zo\xc3"  # Not even UTF-8: stores do not look inside.
HOUR = 3_600_000


async def changed(
    store: Store, id_: str, changes: Changes, revision: int | None = None
) -> StoredEvent:
    """Change a session of alice's."""
    return await store.change("alice", id_, changes, revision)


async def test_a_change_is_kept_and_told(installation: Installation) -> None:
    """Meta and language change on every node, and the event carries the new record."""
    store, new = installation.store, new_session(language="de", version="1.2")
    before = await opened(store, new)
    event = await changed(store, new.id, Changes(meta=NEW_META, language="fr-CA"))
    assert isinstance(event.change, SessionSet)
    record = event.change.record
    assert (record.meta, record.language, record.version) == (NEW_META, "fr-CA", "1.2")
    assert event.previous == before.cursor
    for node in installation.nodes:
        assert await node.check("alice", new.digest) == record
    assert (await store.history("alice", before.cursor)).events == [event]


async def test_what_is_left_out_stays_as_it_is(store: Store) -> None:
    """A change names what is to change, and nothing else does."""
    new = new_session(meta=NEW_META, language="de")
    await opened(store, new)
    await changed(store, new.id, Changes(language="it"))
    record = await store.check("alice", new.digest)
    assert (record.meta, record.language) == (NEW_META, "it")
    await changed(store, new.id, Changes(meta=EMPTY_MAP))
    record = await store.check("alice", new.digest)
    assert (record.meta, record.language) == (EMPTY_MAP, "it")


async def test_a_change_does_not_extend(installation: Installation) -> None:
    """What a backend changes is no activity of the session's holder."""
    store, new = installation.store, new_session(ttl_ms=HOUR)
    await opened(store, new)
    before = await store.check("alice", new.digest)
    installation.pass_time(HOUR // 2)
    await changed(store, new.id, Changes(meta=NEW_META))
    assert (await store.check("alice", new.digest)).expires_at == before.expires_at


async def test_revisions_count_changes(store: Store) -> None:
    """A session begins with 1; a change makes one more, and a restore none."""
    new = new_session()
    await opened(store, new)
    assert (await store.check("alice", new.digest)).revision == 1
    await changed(store, new.id, Changes(meta=NEW_META), revision=1)
    await store.restore("alice", new.digest)
    assert (await store.check("alice", new.digest)).revision == 2
    [listed] = await sessions_of(store, "alice")
    assert listed.revision == 2


async def test_a_change_for_another_revision_is_refused(store: Store) -> None:
    """Whoever has not seen the newest revision changes nothing."""
    new = new_session()
    await opened(store, new)
    last = await changed(store, new.id, Changes(language="de"))
    for revision in (1, 3, 0):
        with pytest.raises(RevisionConflict):
            await changed(store, new.id, Changes(meta=NEW_META), revision)
    record = await store.check("alice", new.digest)
    assert (record.meta, record.revision) == (EMPTY_MAP, 2)
    assert (await store.history("alice", last.cursor)).events == []


async def test_of_changes_for_one_revision_one_is_made(installation: Installation) -> None:
    """Compare and set: nodes that change the same revision at once do not undo each other."""
    nodes, new = installation.nodes, new_session()
    await opened(nodes[0], new)
    answers = await asyncio.gather(
        *(changed(nodes[i % len(nodes)], new.id, Changes(meta=NEW_META), 1) for i in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, RevisionConflict) for answer in answers) == 19
    assert (await nodes[-1].check("alice", new.digest)).revision == 2


async def test_what_is_not_live_cannot_be_changed(installation: Installation) -> None:
    """Neither a session that ended or expired, nor one that never was, nor another actor's."""
    store, ended, expired = installation.store, new_session(), new_session(ttl_ms=1000)
    await opened(store, ended)
    await opened(store, expired)
    await store.end("alice", ended.id, LogoutScope.THIS, "loggedOut")
    installation.pass_time(1000)
    for id_ in (ended.id, expired.id, "id-of-none"):
        with pytest.raises(NoSession):
            await changed(store, id_, Changes(meta=NEW_META))
    other = new_session("bob")
    await opened(store, other)
    with pytest.raises(NoSession):
        await changed(store, other.id, Changes(meta=NEW_META))


async def test_what_a_backend_says_is_an_event_of_the_actor(
    installation: Installation,
) -> None:
    """It has its place in the order, in the history and in the announcements."""
    nodes, new = installation.nodes, new_session()
    installation.listen("alice")
    first = await opened(nodes[0], new)
    to_actor = Emitted(None, "game.started", b"\x80")
    to_session = Emitted(new.id, "game.move", b"\xc0")
    events = [
        await nodes[0].emit("alice", to_actor),
        await nodes[-1].emit("alice", to_session),
    ]
    assert [event.change for event in events] == [to_actor, to_session]
    assert [event.previous for event in events] == [first.cursor, events[0].cursor]
    for node, heard in zip(nodes, installation.heard, strict=True):
        assert (await node.history("alice", first.cursor)).events == events
        assert [await heard.event() for _ in range(3)] == [first, *events]


@pytest.mark.parametrize("data", [b"\xc0", b"\x80", b"", b"\xff\x00" * 8000], ids=len)
async def test_data_comes_back_byte_by_byte(store: Store, data: bytes) -> None:
    """Stores do not look inside what a backend says."""
    event = await store.emit("alice", Emitted(None, "a", data))
    [read] = (await store.history("alice", 0)).events
    assert event == read
    assert isinstance(read.change, Emitted)
    assert read.change.data == data


async def test_nothing_can_be_said_to_a_session_that_is_not_live(store: Store) -> None:
    """NoSession, and no event."""
    new = new_session()
    await opened(store, new)
    [last] = await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    for id_ in (new.id, "id-of-none"):
        with pytest.raises(NoSession):
            await store.emit("alice", Emitted(id_, "a", b"\xc0"))
    assert (await store.history("alice", last.cursor)).events == []


async def test_an_actor_need_not_be_there_to_be_spoken_to(store: Store) -> None:
    """Whoever comes later, with a cursor, hears what was said to the actor meanwhile."""
    event = await store.emit("nobody", Emitted(None, "a", b"\xc0"))
    assert (await store.history("nobody", 0)).events == [event]
    assert await sessions_of(store, "nobody") == []


async def test_what_is_said_to_all_reaches_every_node_once(installation: Installation) -> None:
    """No connection of an actor is needed for it, and it is in nobody's history."""
    emitted = [Emitted(None, "news", b"\xa1a"), Emitted(None, "news", b"\xa1b")]
    for one in emitted:
        await installation.nodes[-1].broadcast(one)
    for heard in installation.heard:
        assert [await heard.said_to_all() for _ in emitted] == emitted
    assert (await installation.store.history("", 0)).events == []
