"""
What every store promises about how many sessions an actor has.
"""

import asyncio

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Replaced, SessionLimit
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, SessionUnset, Successor
from keystay_server.stores.records import UNLIMITED, NewSession, Policy
from tests.support.stores.installation import Installation, new_session, opened, sessions_of

SINGLE = Policy(1)
MINUTE = 60_000


async def live(store: Store) -> list[str]:
    """The ids of alice's live sessions, oldest first."""
    return [record.id for record in await sessions_of(store, "alice")]


async def some(store: Store, count: int) -> list[NewSession]:
    """Open sessions that no policy bounds, one after another."""
    news = [new_session() for _ in range(count)]
    for new in news:
        await opened(store, new)
    return news


async def test_without_a_limit_no_session_ends(store: Store) -> None:
    """`many`: an actor may have any number of sessions."""
    news = await some(store, 5)
    [event] = await store.create(new_session(), UNLIMITED)
    assert isinstance(event.change, SessionSet)
    assert (await live(store))[:5] == [new.id for new in news]


async def test_one_more_takes_the_place_of_the_oldest(store: Store) -> None:
    """The oldest ends as `replaced`, before the new one opens, and is told by whom."""
    first, second = await some(store, 2)
    new = new_session()
    unset, set_ = await store.create(new, Policy(2))
    assert isinstance(set_.change, SessionSet)
    by = Successor(new.id, set_.change.record.created_at)
    assert unset.change == SessionUnset(first.id, "replaced", by)
    assert set_.previous == unset.cursor
    assert await live(store) == [second.id, new.id]
    with pytest.raises(Replaced):
        await store.check("alice", first.digest)
    assert (await store.history("alice", 0)).events[-2:] == [unset, set_]


async def test_below_the_limit_nothing_ends(store: Store) -> None:
    """A limit is how many there may be, the new one included."""
    await some(store, 2)
    assert len(await store.create(new_session(), Policy(3))) == 1


async def test_a_limit_that_came_down_ends_all_that_are_too_many(store: Store) -> None:
    """Where an actor has more than is allowed now, one login leaves what is allowed."""
    news = await some(store, 5)
    new = new_session()
    *unsets, _ = await store.create(new, Policy(2))
    ended = [
        event.change.session_id for event in unsets if isinstance(event.change, SessionUnset)
    ]
    assert ended == [old.id for old in news[:4]]
    assert await live(store) == [news[4].id, new.id]


async def test_a_strict_limit_refuses_one_more(store: Store) -> None:
    """`deny:N`: the new session is refused, and nothing changes."""
    news = await some(store, 2)
    before = (await store.history("alice", 0)).events
    refused = new_session()
    with pytest.raises(SessionLimit):
        await store.create(refused, Policy(2, is_strict=True))
    assert await live(store) == [new.id for new in news]
    assert (await store.history("alice", 0)).events == before
    await store.end("alice", news[0].id, LogoutScope.THIS, "loggedOut")
    await store.create(refused, Policy(2, is_strict=True))
    assert await live(store) == [news[1].id, refused.id]


async def test_a_session_that_is_over_takes_no_place(installation: Installation) -> None:
    """What has expired or ended counts neither for a limit nor against it."""
    store = installation.store
    await opened(store, new_session(ttl_ms=MINUTE))
    installation.pass_time(MINUTE)
    [event] = await store.create(new_session(), Policy(1, is_strict=True))
    assert isinstance(event.change, SessionSet)


async def test_other_actors_do_not_count(store: Store) -> None:
    """A policy bounds one actor's sessions."""
    await opened(store, new_session("bob"))
    [event] = await store.create(new_session("alice"), SINGLE)
    assert isinstance(event.change, SessionSet)
    assert len(await sessions_of(store, "bob")) == 1


async def test_limits_are_exact_across_nodes(installation: Installation) -> None:
    """Of 100 logins at once on all nodes, the last three in the store's order live."""
    nodes, news = installation.nodes, [new_session() for _ in range(100)]
    told = await asyncio.gather(
        *(nodes[i % len(nodes)].create(new, Policy(3)) for i, new in enumerate(news))
    )
    events = sorted((event for some in told for event in some), key=lambda event: event.cursor)
    opened_ids = [e.change.record.id for e in events if isinstance(e.change, SessionSet)]
    ended_ids = [e.change.session_id for e in events if isinstance(e.change, SessionUnset)]
    assert len(opened_ids) == 100
    assert ended_ids == opened_ids[:97]
    for node in nodes:
        assert await live(node) == opened_ids[97:]


async def test_strict_limits_are_exact_across_nodes(installation: Installation) -> None:
    """Of 100 logins at once on all nodes, three are let in."""
    nodes, policy = installation.nodes, Policy(3, is_strict=True)
    answers = await asyncio.gather(
        *(nodes[i % len(nodes)].create(new_session(), policy) for i in range(100)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, SessionLimit) for answer in answers) == 97
    assert len(await live(nodes[0])) == 3
