"""
What every store promises about deadlines: when sessions end, and how they are extended.
"""

import asyncio

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, LoggedOut, NoSession, Unavailable
from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, SessionUnset
from keystay_server.stores.records import Changes
from keystay_server.stores.retention import Retention
from tests.server.stores.contract.test_events import assert_chained, heard
from tests.support.stores.installation import (
    Installation,
    expire_all,
    held,
    new_session,
    opened,
    sessions_of,
)

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


async def expired(store: Store, actor_id: str = "alice") -> list[str]:
    """The sessions that the actor's history says expired, in its order."""
    return [
        event.change.session_id
        for event in (await store.history(actor_id, 0)).events
        if isinstance(event.change, SessionUnset) and event.change.reason == "expired"
    ]


async def test_a_session_ends_at_its_deadline(installation: Installation) -> None:
    """Not before; the end is an event of the actor."""
    store, new = installation.store, new_session()
    await opened(store, new)
    installation.pass_time(MINUTE - 9 * SECOND)
    assert await installation.end_what_is_due() == []
    assert (await store.check("alice", new.digest)).id == new.id
    installation.pass_time(9 * SECOND)
    assert len(await installation.end_what_is_due()) == 1
    [_, event] = (await store.history("alice", 0)).events
    assert event.change == SessionUnset(new.id, "expired")
    assert await store.expire() == []


async def test_expire_returns_how_late_each_session_ended(installation: Installation) -> None:
    """From its own deadline, by the store's clock."""
    store = installation.store
    for ttl_ms in (HOUR, 10 * SECOND, 50 * SECOND):
        await opened(store, new_session(ttl_ms=ttl_ms))
    installation.pass_time(MINUTE)
    late_ms = await installation.end_what_is_due()
    for late, least in zip(sorted(late_ms), (10 * SECOND, 50 * SECOND), strict=True):
        assert 0 <= late - least < 9 * SECOND


async def test_a_maximum_age_is_a_deadline(installation: Installation) -> None:
    """A session ends at the earlier of ttl and maximum age."""
    store, new = installation.store, new_session(max_age_ms=10 * SECOND)
    await opened(store, new)
    installation.pass_time(10 * SECOND)
    assert len(await installation.end_what_is_due()) == 1
    assert await expired(store) == [new.id]


async def test_nothing_is_due_in_an_empty_store(installation: Installation) -> None:
    """To ask for what is due is no error before there ever was a session."""
    for node in installation.nodes:
        assert await node.expire() == []


async def test_a_session_expires_once(installation: Installation) -> None:
    """However many nodes end what is due at the same time, each end is one event."""
    nodes, actors = installation.nodes, [f"actor-{i}" for i in range(8)]
    news = [new_session(actor_id) for actor_id in actors for _ in range(5)]
    await asyncio.gather(*map(nodes[0].create, news))
    installation.pass_time(MINUTE)
    assert len(await installation.end_what_is_due(*nodes * 10)) == len(news)
    told = [id_ for actor_id in actors for id_ in await expired(nodes[-1], actor_id)]
    assert sorted(told) == sorted(new.id for new in news)


async def test_an_end_is_announced_on_each_node(installation: Installation) -> None:
    """Where the actor has connections: once and in order, whichever node ended it."""
    installation.listen("alice")
    store, news = installation.store, [new_session() for _ in range(3)]
    for new in news:
        await opened(store, new)
    installation.pass_time(MINUTE)
    await installation.end_what_is_due(*installation.nodes)
    await opened(store, new_session())
    events = (await store.history("alice", 0)).events
    assert len(events) == 7
    assert_chained(events)
    assert sorted(await expired(store)) == sorted(new.id for new in news)
    for listener in installation.heard:
        assert await heard(listener, 7) == events


@pytest.mark.parametrize("by", ["restore", "touch"])
async def test_an_extended_session_goes_on(installation: Installation, by: str) -> None:
    """What was extended ends at its new deadline, not at the old one."""
    first, last = installation.nodes[0], installation.nodes[-1]
    new = new_session()
    await opened(first, new)
    for _ in range(3):
        installation.pass_time(50 * SECOND)
        if by == "touch":
            await last.touch(held(new))
        else:
            await last.restore("alice", new.digest)
        await expire_all(first)
        assert (await first.check("alice", new.digest)).id == new.id
    installation.pass_time(MINUTE)
    assert len(await installation.end_what_is_due()) == 1
    assert await expired(first) == [new.id]


async def test_many_are_touched_at_once(installation: Installation) -> None:
    """All that a node holds goes into one call."""
    store, news = installation.store, [new_session(f"actor-{i}") for i in range(700)]
    await asyncio.gather(*map(store.create, news))
    installation.pass_time(50 * SECOND)
    await store.touch(held(*news))
    installation.pass_time(50 * SECOND)
    await expire_all(store)
    for new in news:
        assert (await store.check(new.actor_id, new.digest)).id == new.id


async def test_what_has_ended_does_not_end_again(installation: Installation) -> None:
    """The deadline of a session that ended before means nothing, and the first reason stays."""
    store, new = installation.store, new_session()
    await opened(store, new)
    [last] = await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    installation.pass_time(MINUTE)
    assert await installation.end_what_is_due() == []
    assert (await store.history("alice", last.cursor)).events == []
    with pytest.raises(LoggedOut):
        await store.check("alice", new.digest)


async def test_a_late_node_makes_up_for_it(installation: Installation) -> None:
    """What became due while nobody looked is ended as soon as somebody does."""
    store, news = installation.store, [new_session(), new_session("bob", ttl_ms=HOUR)]
    for new in news:
        await opened(store, new)
    installation.pass_time(5 * HOUR)
    await opened(store, new_session())
    assert len(await installation.end_what_is_due(installation.nodes[-1])) == 2
    for new in news:
        assert await expired(store, new.actor_id) == [new.id]
        with pytest.raises(Expired):
            await store.check(new.actor_id, new.digest)


@pytest.mark.parametrize("actors", [1, 1000])
async def test_many_end_in_the_same_second(installation: Installation, actors: int) -> None:
    """A thousand that are due at once all end, of one actor or of a thousand."""
    store, news = installation.store, [new_session(f"actor-{i % actors}") for i in range(1000)]
    await asyncio.gather(*map(store.create, news))
    installation.pass_time(MINUTE)
    assert len(await installation.end_what_is_due()) == len(news)
    for actor_id in {new.actor_id for new in news}:
        assert await sessions_of(store, actor_id) == []


async def test_those_that_ended_do_not_hide_those_that_are_due(
    installation: Installation,
) -> None:
    """However many have logged out before their deadline, one call finds who is due."""
    store, gone, due = installation.store, [new_session() for _ in range(600)], new_session()
    await asyncio.gather(*map(store.create, gone))
    await store.end("alice", None, LogoutScope.ALL, "revoked")
    installation.pass_time(SECOND)
    await opened(store, due)
    installation.pass_time(MINUTE)
    assert len(await installation.end_what_is_due()) == 1
    assert await expired(store) == [due.id]


@pytest.mark.parametrize("retention", [Retention(tombstone_ms=HOUR)])
async def test_an_expired_session_answers_so(installation: Installation) -> None:
    """Its key answers `expired` for `tombstone_ms` from its end; after that it is unknown."""
    store, new = installation.store, new_session()
    await opened(store, new)
    installation.pass_time(MINUTE)
    await installation.end_what_is_due()
    for ms in (0, HOUR - MINUTE):
        installation.pass_time(ms)
        for use in (store.check, store.restore):
            with pytest.raises(Expired):
                await use("alice", new.digest)
    installation.pass_time(MINUTE)
    for use in (store.check, store.restore):
        with pytest.raises(NoSession):
            await use("alice", new.digest)


async def test_an_expired_session_is_in_no_list(installation: Installation) -> None:
    """Those that are live stay listed, and a logout of all ends only them."""
    store, over, live = installation.store, new_session(), new_session(ttl_ms=HOUR)
    await opened(store, over)
    await opened(store, live)
    installation.pass_time(MINUTE)
    await installation.end_what_is_due()
    assert [record.id for record in await sessions_of(store, "alice")] == [live.id]
    with pytest.raises(NoSession):
        await store.end("alice", over.id, LogoutScope.ALL, "loggedOut")
    [event] = await store.end("alice", None, LogoutScope.ALL, "revoked")
    assert event.change == SessionUnset(live.id, "revoked")


async def test_in_a_grace_it_is_not_decided_whether_a_session_is_over(
    installation: Installation,
) -> None:
    """
    Its key is answered `unavailable` on every node, by whatever it is asked for, until a
    node has extended it or the grace is over. A store without a grace has an answer at once.
    """
    if not installation.grace_ms:
        return
    first, last = installation.nodes[0], installation.nodes[-1]
    kept, left = new_session(), new_session()
    for new in (kept, left):
        await opened(first, new)
    assert await first.expire() == []
    installation.pass_time(2 * MINUTE)
    for asking in (
        last.check("alice", left.digest),
        last.restore("alice", left.digest),
        last.session("alice", left.id),
        last.sessions("alice", 10),
        last.change("alice", left.id, Changes(language="fr"), None),
        last.emit("alice", Emitted(left.id, "game", b"\x80")),
        last.end("alice", left.id, LogoutScope.THIS, "revoked"),
    ):
        with pytest.raises(Unavailable):
            await asking
    await last.touch(held(kept))
    assert (await first.check("alice", kept.digest)).id == kept.id
    await installation.end_what_is_due()
    assert [record.id for record in await last.sessions("alice", 10)] == [kept.id]
    with pytest.raises(Expired):
        await last.check("alice", left.digest)
