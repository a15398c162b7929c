"""
What every store promises about actors with many sessions, and about their tombstones.
"""

import asyncio
from typing import Any

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, NoSession, Revoked, SessionEnded, SessionLimit
from keystay_server.stores.base import END_STEP, Store
from keystay_server.stores.events import SessionSet, SessionUnset, StoredEvent, Successor
from keystay_server.stores.records import Holding, NewSession, Policy
from keystay_server.stores.retention import Retention
from tests.server.stores.contract.test_events import heard
from tests.server.stores.contract.test_feed import now, read
from tests.support.stores.installation import (
    Installation,
    held,
    new_session,
    opened,
    sessions_of,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
MANY = 3 * END_STEP + END_STEP // 2


async def many(store: Store, number: int, **fields: Any) -> list[NewSession]:
    """Create sessions of alice's at once; oldest first."""
    news = [new_session(**fields) for _ in range(number)]
    created = await asyncio.gather(*(opened(store, new) for new in news))
    by_cursor = sorted(zip(created, news, strict=True), key=lambda pair: pair[0].cursor)
    return [new for _, new in by_cursor]


def ends(events: list[StoredEvent]) -> list[tuple[str, str]]:
    """Which sessions ended, and why."""
    return [
        (event.change.session_id, event.change.reason)
        for event in events
        if isinstance(event.change, SessionUnset)
    ]


@pytest.mark.parametrize("scope", [LogoutScope.ALL, LogoutScope.OTHERS])
async def test_many_sessions_end_in_steps(
    installation: Installation, scope: LogoutScope
) -> None:
    """Each once, oldest first, announced on every node; the session that asks may be any."""
    installation.listen("alice")
    store, news = installation.store, await many(installation.store, MANY)
    asking = news[MANY // 3]
    events = await store.end("alice", asking.id, scope, "loggedOut")
    gone = [new for new in news if scope is LogoutScope.ALL or new is not asking]
    assert ends(events) == [(new.id, "loggedOut") for new in gone]
    for listener in installation.heard:
        assert (await heard(listener, MANY + len(gone)))[MANY:] == events
    assert [record.id for record in await sessions_of(store)] == [
        new.id for new in news if new not in gone
    ]


async def test_sessions_created_while_all_end_live_on(installation: Installation) -> None:
    """A loop of logins does not keep `end` going, and those that came before it are gone."""
    store, news = installation.store, await many(installation.store, MANY)
    ending = asyncio.create_task(store.end("alice", None, LogoutScope.ALL, "revoked"))
    later: list[NewSession] = []
    while not ending.done():
        later.append(new_session())
        await opened(installation.nodes[-1], later[-1])
    gone = {id_ for id_, _ in ends(ending.result())}
    assert gone >= {new.id for new in news}
    assert len(gone) < MANY + len(later)
    live = {record.id for record in await sessions_of(store)}
    assert live == {new.id for new in later} - gone
    for new in news:
        with pytest.raises(Revoked):
            await store.check("alice", new.digest)


async def test_the_session_that_asks_is_looked_at_once(installation: Installation) -> None:
    """It ends with the first step, and the later ones go on all the same."""
    store, news = installation.store, await many(installation.store, MANY)
    events = await store.end("alice", news[0].id, LogoutScope.ALL, "loggedOut")
    assert len(events) == MANY
    with pytest.raises(NoSession):
        await store.end("alice", news[0].id, LogoutScope.ALL, "loggedOut")


async def test_overdue_sessions_are_no_part_of_a_logout(installation: Installation) -> None:
    """They end as expired, whoever logs out meanwhile."""
    store = installation.store
    over = await many(store, END_STEP + 10, ttl_ms=10_000)
    news = await many(store, END_STEP + 10)
    installation.pass_time(10_000)
    events = await store.end("alice", None, LogoutScope.ALL, "revoked")
    assert ends(events) == [(new.id, "revoked") for new in news]
    # A node that holds one cannot extend it afterwards: whoever logs out everywhere is.
    await store.touch([Holding("alice", new.digest) for new in over])
    for new in over:
        with pytest.raises(Expired):
            await store.check("alice", new.digest)


async def test_a_limit_far_below_what_there_is_is_reached_in_steps(
    installation: Installation,
) -> None:
    """All that are too many end as replaced by the new one, the oldest first."""
    installation.listen("alice")
    store, news = installation.store, await many(installation.store, MANY)
    new = new_session()
    events = await installation.nodes[-1].create(new, Policy(2))
    assert isinstance(events[-1].change, SessionSet)
    created = events[-1].change.record
    by = Successor(new.id, created.created_at)
    assert [event.change for event in events[:-1]] == [
        SessionUnset(old.id, "replaced", by) for old in news[:-1]
    ]
    assert [record.id for record in await sessions_of(store)] == [news[-1].id, new.id]
    for listener in installation.heard:
        assert (await heard(listener, MANY + len(events)))[MANY:] == events


async def test_a_limit_is_exact_while_it_is_lowered(installation: Installation) -> None:
    """Of logins at once, each under the new limit, the last ones live: no more, no fewer."""
    nodes = installation.nodes
    await many(nodes[0], MANY)
    news = [new_session() for _ in range(20)]
    await asyncio.gather(
        *(nodes[i % len(nodes)].create(new, Policy(5)) for i, new in enumerate(news))
    )
    live = {record.id for record in await sessions_of(nodes[0])}
    assert len(live) == 5
    assert live <= {new.id for new in news}


@pytest.mark.parametrize("number", [3, MANY])
@pytest.mark.parametrize("is_strict", [False, True])
async def test_overdue_sessions_take_no_place(
    installation: Installation, number: int, is_strict: bool
) -> None:
    """They end as expired before the limit is asked for: no live session has to go."""
    store = installation.store
    over = await many(store, number, ttl_ms=MINUTE)
    [live] = await many(store, 1, ttl_ms=HOUR)
    installation.pass_time(MINUTE)
    new = new_session()
    events = await store.create(new, Policy(2, is_strict=is_strict))
    assert ends(events) == []
    assert {record.id for record in await sessions_of(store)} == {live.id, new.id}
    await installation.end_what_is_due()
    for session in over:
        with pytest.raises(Expired):
            await store.check("alice", session.digest)
    if is_strict:
        with pytest.raises(SessionLimit):
            await store.create(new_session(), Policy(2, is_strict=True))


async def test_an_overdue_session_that_is_held_takes_its_place(
    installation: Installation,
) -> None:
    """It was touched, so it lives, and counts."""
    store = installation.store
    news = await many(store, 3)
    installation.pass_time(MINUTE)
    await store.touch(held(news[1]))
    with pytest.raises(SessionLimit):
        await store.create(new_session(), Policy(1, is_strict=True))
    [replaced, _] = await store.create(new_session(), Policy(1))
    assert ends([replaced]) == [(news[1].id, "replaced")]


@pytest.mark.parametrize("retention", [Retention(tombstones=20)])
async def test_tombstones_of_an_actor_are_bounded(store: Store) -> None:
    """The oldest are forgotten first, and no other actor's."""
    other = new_session("bob")
    await opened(store, other)
    await store.end("bob", other.id, LogoutScope.THIS, "revoked")
    news = await many(store, 50)
    for new in news[:5]:
        await store.end("alice", new.id, LogoutScope.THIS, "revoked")
    await store.end("alice", None, LogoutScope.ALL, "revoked")
    answers = await asyncio.gather(
        *(store.check("alice", new.digest) for new in news), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [NoSession] * 30 + [Revoked] * 20
    with pytest.raises(Revoked):
        await store.check("bob", other.digest)


@pytest.mark.parametrize("retention", [Retention(tombstones=3)])
async def test_a_loop_of_logins_leaves_few_tombstones(store: Store) -> None:
    """Under a limit of one, each login ends the one before."""
    news = [new_session() for _ in range(20)]
    for new in news:
        await store.create(new, Policy(1))
    for new in news[:-4]:
        with pytest.raises(NoSession):
            await store.check("alice", new.digest)
    for new in news[-4:-1]:
        with pytest.raises(SessionEnded):
            await store.check("alice", new.digest)
    assert (await store.check("alice", news[-1].digest)).id == news[-1].id


@pytest.mark.parametrize("retention", [Retention(tombstone_ms=HOUR)])
async def test_what_became_due_long_ago_ends_as_anything_else(
    installation: Installation,
) -> None:
    """Longer than `tombstone_ms` while no node ran: event, tombstone and feed entry."""
    store, new = installation.store, new_session()
    installation.listen("alice")
    created = await opened(store, new)
    feed = await now(store)  # It leaves a session too.
    installation.pass_time(100 * HOUR)
    with pytest.raises(Expired):
        await store.check("alice", new.digest)
    late_ms = max(await installation.end_what_is_due())
    assert 0 <= late_ms - (100 * HOUR - MINUTE) < MINUTE
    event = (await store.history("alice", 0)).events[-1]
    assert event.change == SessionUnset(new.id, "expired")
    for listener in installation.heard:
        assert await heard(listener, 2) == [created, event]
    entries, _ = await read(store, feed, 2)
    [entry] = [entry for entry in entries if entry.actor_id == "alice"]
    assert (entry.actor_id, entry.cursor, entry.change) == ("alice", event.cursor, event.change)
    installation.pass_time(HOUR - MINUTE)
    with pytest.raises(Expired):
        await store.check("alice", new.digest)
    installation.pass_time(MINUTE)
    with pytest.raises(NoSession):
        await store.check("alice", new.digest)
