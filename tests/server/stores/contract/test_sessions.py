"""
What every store promises about sessions, in memory, in SQLite, and in Redis on two nodes.

`test_store_contract_events` goes on with their events.
"""

import asyncio
import time

import pytest

from keystay_protocol.codec import pack, unpack
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import (
    Expired,
    LoggedOut,
    NoSession,
    Replaced,
    SessionEnded,
)
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, SessionUnset, StoredEvent
from keystay_server.stores.records import Record
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import (
    EMPTY_MAP,
    Installation,
    new_session,
    opened,
    sessions_of,
)

MINUTE = 60_000
HOUR = 60 * MINUTE

ODD_ACTORS = [
    "user:42",
    ":",
    "{}",
    "{a}b",
    "a}b{c",
    "}{",
    "%7B",
    "x y\n\x00\x7f*?[",
    "ключ-鍵-🔑",
    "e\u0301",
    "\u00e9",
    "@ks:{alice}:feed",
    "a" * 128,
    "é" * 64,
    "🔑" * 32,
    "{" * 128,
]


def record_of(event: StoredEvent) -> Record:
    """The record that a SessionSet carries."""
    assert isinstance(event.change, SessionSet)
    return event.change.record


def ended(events: list[StoredEvent]) -> list[str]:
    """The ids of the sessions that the events say ended."""
    assert all(isinstance(event.change, SessionUnset) for event in events)
    return [
        event.change.session_id for event in events if isinstance(event.change, SessionUnset)
    ]


async def test_create_returns_the_session_as_it_is_kept(store: Store) -> None:
    """A new session has what it was given, and lives for its ttl from now on."""
    meta = pack({"tags": ["a", "b"], "name": "Ålice", "nothing": {}})
    new = new_session(meta=meta, language="de-AT", version="1.2.3", max_age_ms=HOUR)
    before = time.time_ns() // 1_000_000
    record = record_of(await opened(store, new))
    after = time.time_ns() // 1_000_000
    assert before <= record.created_at <= after
    assert record == Record(
        id=new.id,
        actor_id="alice",
        meta=meta,
        language="de-AT",
        version="1.2.3",
        created_at=record.created_at,
        expires_at=record.created_at + MINUTE,
        ends_at=record.created_at + HOUR,
        ttl_ms=MINUTE,
    )
    assert await store.check("alice", new.digest) == record
    assert await sessions_of(store, "alice") == [record]


async def test_what_is_not_there_stays_not_there(store: Store) -> None:
    """No version and no maximum age are None; no version and an empty one are two things."""
    new, versioned = new_session(), new_session(version="")
    await opened(store, new)
    await opened(store, versioned)
    record = await store.check("alice", new.digest)
    assert (record.version, record.ends_at) == (None, None)
    assert (await store.check("alice", versioned.digest)).version == ""


@pytest.mark.parametrize(
    "meta", [EMPTY_MAP, pack({"b": b"\x00\xff", "s": "", "m": {}, "l": []})]
)
async def test_meta_comes_back_byte_by_byte(store: Store, meta: bytes) -> None:
    """Stores do not look inside meta: an empty map stays a map, bytes stay bytes."""
    new = new_session(meta=meta)
    event = await opened(store, new)
    history = await store.history("alice", 0)
    records = [record_of(told) for told in (event, *history.events)]
    records += [await store.check("alice", new.digest), *await sessions_of(store, "alice")]
    records += [(await store.restore("alice", new.digest)).record]
    assert {record.meta for record in records} == {meta}
    assert records[0].to_session().meta == unpack(meta)


@pytest.mark.parametrize("actor_id", ODD_ACTORS)
async def test_any_text_can_be_an_actor(installation: Installation, actor_id: str) -> None:
    """An actor id is any UTF-8 of up to 128 bytes, and is nobody else's."""
    store, new = installation.store, new_session(actor_id)
    installation.listen(actor_id)
    event = await opened(store, new)
    assert (await store.check(actor_id, new.digest)).actor_id == actor_id
    assert [record.id for record in await sessions_of(store, actor_id)] == [new.id]
    for other in {*ODD_ACTORS, actor_id + "x", actor_id[:-1] or "y"} - {actor_id}:
        assert await sessions_of(store, other) == []
    assert event.actor_id == actor_id
    assert await installation.heard[0].event() == event
    assert (await store.history(actor_id, 0)).events == [event]


async def test_what_memory_has_is_what_check_returns(installation: Installation) -> None:
    """A peek returns a live session, or None where nothing is in memory, and of all others."""
    store, new, other = installation.store, new_session(), new_session("bob")
    await opened(store, new)
    record = store.peek(new.digest)
    assert record is None or record == await store.check("alice", new.digest)
    assert store.peek(other.digest) is None
    installation.pass_time(new.ttl_ms)
    assert store.peek(new.digest) is None
    await opened(store, other)
    await store.end("bob", None, LogoutScope.ALL, "revoked")
    assert store.peek(other.digest) is None


async def test_a_key_that_never_was_opens_nothing(store: Store) -> None:
    """An unknown key answers NoSession, whether or not there is such an actor."""
    await opened(store, new_session("alice"))
    for actor_id in ("alice", "nobody"):
        with pytest.raises(NoSession):
            await store.check(actor_id, new_session().digest)
        with pytest.raises(NoSession):
            await store.restore(actor_id, new_session().digest)


async def test_another_actors_secret_opens_nothing(store: Store) -> None:
    """A digest belongs to the actor it was made for."""
    new = new_session("alice")
    await opened(store, new)
    await opened(store, new_session("bob"))
    with pytest.raises(NoSession):
        await store.check("bob", new.digest)
    with pytest.raises(NoSession):
        await store.restore("bob", new.digest)
    with pytest.raises(NoSession):
        await store.end("bob", new.id, LogoutScope.THIS, "loggedOut")
    assert (await store.check("alice", new.digest)).id == new.id


async def test_check_changes_nothing(installation: Installation) -> None:
    """A check neither extends the session nor makes an event."""
    store, new = installation.store, new_session()
    event = await opened(store, new)
    installation.pass_time(MINUTE // 2)
    assert await store.check("alice", new.digest) == record_of(event)
    assert (await store.history("alice", 0)).events == [event]


async def test_restore_extends_by_the_ttl(installation: Installation) -> None:
    """A restored session lasts one more ttl from now; the rest of it stays."""
    store, new = installation.store, new_session()
    created = record_of(await opened(store, new))
    installation.pass_time(50_000)
    restored = (await store.restore("alice", new.digest)).record
    assert 50_000 <= restored.expires_at - created.expires_at < 50_000 + 5_000
    assert restored.created_at == created.created_at
    installation.pass_time(50_000)
    assert await store.check("alice", new.digest) == restored
    assert await sessions_of(store, "alice") == [restored]


async def test_nothing_outlives_its_maximum_age(installation: Installation) -> None:
    """`ends_at` never moves, and `expires_at` never passes it."""
    store, new = installation.store, new_session(max_age_ms=90_000)
    created = record_of(await opened(store, new))
    installation.pass_time(50_000)
    restored = (await store.restore("alice", new.digest)).record
    assert restored.ends_at == restored.expires_at == created.created_at + 90_000
    installation.pass_time(40_000)
    with pytest.raises(Expired):
        await store.restore("alice", new.digest)


async def test_a_maximum_age_below_the_ttl_counts(store: Store) -> None:
    """A session whose maximum age is shorter than its ttl starts with the shorter."""
    record = record_of(await opened(store, new_session(max_age_ms=10)))
    assert record.expires_at == record.ends_at == record.created_at + 10


async def test_an_unused_session_expires(installation: Installation) -> None:
    """Past `expires_at` a session is never returned, restored or logged out: it is expired."""
    store, new, other = installation.store, new_session(), new_session(ttl_ms=HOUR)
    await opened(store, new)
    await opened(store, other)
    installation.pass_time(MINUTE)
    for use in (store.check, store.restore):
        with pytest.raises(Expired):
            await use("alice", new.digest)
    assert [record.id for record in await sessions_of(store, "alice")] == [other.id]
    for scope in LogoutScope:
        with pytest.raises(NoSession):
            await store.end("alice", new.id, scope, "loggedOut")
    assert ended(await store.end("alice", None, LogoutScope.ALL, "revoked")) == [other.id]
    with pytest.raises(Expired):
        await store.check("alice", new.digest)


async def test_an_ended_session_answers_its_reason(installation: Installation) -> None:
    """Its key is told why, in the class of the reason, and later expiry does not matter."""
    store, new = installation.store, new_session()
    await opened(store, new)
    await store.end("alice", new.id, LogoutScope.THIS, "replaced")
    for _ in range(2):
        for use in (store.check, store.restore):
            with pytest.raises(Replaced):
                await use("alice", new.digest)
        installation.pass_time(2 * HOUR)


async def test_a_reason_can_be_any_word(store: Store) -> None:
    """A backend ends a session in its own word, and that is the code."""
    new = new_session()
    await opened(store, new)
    await store.end("alice", new.id, LogoutScope.THIS, "gebühr:unbezahlt")
    with pytest.raises(SessionEnded) as refused:
        await store.check("alice", new.digest)
    assert refused.value.code == "gebühr:unbezahlt"


@pytest.mark.parametrize("retention", [Retention(tombstone_ms=HOUR)])
async def test_a_tombstone_is_kept_for_its_time(installation: Installation) -> None:
    """A key answers with the reason for `tombstone_ms`; after that it is unknown."""
    store, left = installation.store, new_session()
    await opened(store, left)
    await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
    installation.pass_time(HOUR - MINUTE)
    with pytest.raises(LoggedOut):
        await store.check("alice", left.digest)
    installation.pass_time(MINUTE)
    for use in (store.check, store.restore):
        with pytest.raises(NoSession):
            await use("alice", left.digest)


@pytest.mark.parametrize(
    ("scope", "over"),
    [
        (LogoutScope.THIS, [1]),
        (LogoutScope.OTHERS, [0, 2]),
        (LogoutScope.ALL, [0, 1, 2]),
    ],
)
async def test_a_logout_ends_what_its_scope_says(
    store: Store, scope: LogoutScope, over: list[int]
) -> None:
    """This one, the others, or all; oldest first; and no other actor's."""
    alices = [new_session("alice") for _ in range(3)]
    for new in (*alices, new_session("bob")):
        await opened(store, new)
    events = await store.end("alice", alices[1].id, scope, "loggedOut")
    assert ended(events) == [alices[i].id for i in over]
    live = [new.id for i, new in enumerate(alices) if i not in over]
    assert [record.id for record in await sessions_of(store, "alice")] == live
    for i, new in enumerate(alices):
        if i in over:
            with pytest.raises(LoggedOut):
                await store.check("alice", new.digest)
        else:
            assert (await store.check("alice", new.digest)).id == new.id
    assert len(await sessions_of(store, "bob")) == 1


async def test_a_backend_ends_all_sessions_of_an_actor(store: Store) -> None:
    """Without a session that asks, all are ended; none being live is no error."""
    assert await store.end("alice", None, LogoutScope.ALL, "revoked") == []
    news = [new_session() for _ in range(12)]
    for new in news:
        await opened(store, new)
    events = await store.end("alice", None, LogoutScope.ALL, "revoked")
    assert ended(events) == [new.id for new in news]
    assert await sessions_of(store, "alice") == []
    assert await store.end("alice", None, LogoutScope.ALL, "revoked") == []


async def test_only_a_live_session_can_end_others(store: Store) -> None:
    """If the session that asks is not live: NoSession, and nothing is ended."""
    gone, live = new_session(), new_session()
    await opened(store, gone)
    await opened(store, live)
    await store.end("alice", gone.id, LogoutScope.THIS, "loggedOut")
    for scope in LogoutScope:
        for id_ in (gone.id, "id-of-none"):
            with pytest.raises(NoSession):
                await store.end("alice", id_, scope, "revoked")
    assert [record.id for record in await sessions_of(store, "alice")] == [live.id]
    with pytest.raises(LoggedOut):
        await store.check("alice", gone.digest)


async def test_sessions_are_listed_oldest_first(installation: Installation) -> None:
    """The order is that of their creation, whatever is restored later and however fast."""
    store, news = installation.store, [new_session() for _ in range(20)]
    for new in news:
        await opened(store, new)
    installation.pass_time(1_000)
    await store.restore("alice", news[0].digest)
    listed = await sessions_of(store, "alice")
    assert [record.id for record in listed] == [new.id for new in news]


async def test_sessions_are_read_in_pages(store: Store) -> None:
    """Each page begins after the last id of the one before; the newest can be asked for."""
    ids = [new.id for new in [new_session() for _ in range(12)] if await opened(store, new)]
    await store.end("alice", ids.pop(4), LogoutScope.THIS, "loggedOut")

    async def page(most: int, after: str | None = None, *, newest: bool = False) -> list[str]:
        found = await store.sessions("alice", most, after, newest=newest)
        return [record.id for record in found]

    assert await page(5) == ids[:5]
    assert await page(5, ids[4]) == ids[5:10]
    assert await page(5, ids[9]) == ids[10:]
    assert await page(5, ids[10]) == []
    assert await page(100) == ids
    assert await page(3, newest=True) == ids[-3:]
    assert await page(100, newest=True) == ids
    assert await store.sessions("nobody", 5) == []


async def test_a_page_after_a_session_that_is_not_live(installation: Installation) -> None:
    """NoSession: of one that ended, is over, never was, or is another actor's."""
    store, ended_, over, live = (
        installation.store,
        new_session(),
        new_session(ttl_ms=MINUTE // 2),
        new_session(),
    )
    other = new_session("bob")
    for new in (ended_, over, live, other):
        await opened(store, new)
    await store.end("alice", ended_.id, LogoutScope.THIS, "loggedOut")
    installation.pass_time(MINUTE // 2)
    for id_ in (ended_.id, over.id, "id-of-none", other.id):
        with pytest.raises(NoSession):
            await store.sessions("alice", 5, id_)
    assert [record.id for record in await store.sessions("alice", 1)] == [live.id]
    assert [record.id for record in await store.sessions("alice", 1, newest=True)] == [live.id]


async def test_a_session_is_found_by_its_id(installation: Installation) -> None:
    """While it is live, and as its own actor's only."""
    store, new, over = installation.store, new_session(), new_session(ttl_ms=MINUTE // 2)
    await opened(store, new)
    await opened(store, over)
    for node in installation.nodes:
        assert await node.session("alice", new.id) == await store.check("alice", new.digest)
    installation.pass_time(MINUTE // 2)
    await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    for actor_id, id_ in (
        ("alice", new.id),
        ("alice", over.id),
        ("alice", "id-of-none"),
        ("bob", new.id),
    ):
        with pytest.raises(NoSession):
            await store.session(actor_id, id_)


async def test_a_change_is_seen_on_every_node_at_once(installation: Installation) -> None:
    """What one node was answered, every node knows."""
    first, last = installation.nodes[0], installation.nodes[-1]
    new = new_session()
    await opened(first, new)
    assert (await last.check("alice", new.digest)).id == new.id
    await last.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    with pytest.raises(LoggedOut):
        await first.restore("alice", new.digest)


async def test_a_session_ends_once(installation: Installation) -> None:
    """Of any number of nodes that end the same sessions at once, one does it."""
    nodes, news = installation.nodes, [new_session() for _ in range(10)]
    await asyncio.gather(*(nodes[i % len(nodes)].create(new) for i, new in enumerate(news)))
    answers = await asyncio.gather(
        *(
            nodes[i % len(nodes)].end("alice", None, LogoutScope.ALL, f"word{i}")
            for i in range(30)
        )
    )
    assert sorted(map(len, answers)) == [0] * 29 + [10]
    [word] = [f"word{i}" for i, events in enumerate(answers) if events]
    for new in news:
        with pytest.raises(SessionEnded, match=word):
            await nodes[-1].check("alice", new.digest)
