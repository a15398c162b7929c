"""
What every store promises about events: order, history, announcements, atomicity.
"""

import asyncio
import time
from contextlib import suppress
from itertools import pairwise

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionEnded
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, SessionUnset, StoredEvent, next_cursor
from keystay_server.stores.records import Changes
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import (
    Heard,
    Installation,
    new_session,
    opened,
    sessions_of,
)

MINUTE = 60_000


def assert_chained(events: list[StoredEvent]) -> None:
    """Cursors grow, and each event names the one before it."""
    for before, event in pairwise(events):
        assert before.cursor < event.cursor < 2**53
        assert event.previous == before.cursor


async def heard(listener: Heard, count: int) -> list[StoredEvent]:
    """The next events that were announced."""
    return [await listener.event() for _ in range(count)]


def test_a_cursor_is_the_clock_or_one_more() -> None:
    """Cursors grow even when the clock stands or falls back, and stay exact in a double."""
    assert next_cursor(0, 1_700_000_000_000) == 1_700_000_000_000 * 1024
    assert next_cursor(5 * 1024, 5) == 5 * 1024 + 1
    assert next_cursor(9 * 1024, 5) == 9 * 1024 + 1
    year_2200 = 7_258_118_400_000
    assert next_cursor(0, year_2200) < 2**53


async def test_the_first_event_follows_on_none(store: Store) -> None:
    """Its cursor is the store's clock x 1024, and it names 0 as the one before."""
    before = time.time_ns() // 1_000_000
    event = await opened(store, new_session())
    after = time.time_ns() // 1_000_000
    assert event.previous == 0
    assert before * 1024 <= event.cursor <= after * 1024


async def test_every_write_is_the_next_event(installation: Installation) -> None:
    """Create, change and each ended session make one event, chained to the one before."""
    store, a, b = installation.store, new_session(), new_session()
    events = [await opened(store, a), await opened(store, b)]
    events.append(await store.change("alice", a.id, Changes(language="fr"), None))
    installation.pass_time(1)
    events += await store.end("alice", a.id, LogoutScope.ALL, "loggedOut")
    assert [type(event.change) for event in events] == [SessionSet] * 3 + [SessionUnset] * 2
    assert events[3].change == SessionUnset(a.id, "loggedOut")
    assert_chained(events)
    assert (await store.history("alice", events[0].cursor)).events == events[1:]


async def test_actors_have_histories_of_their_own(store: Store) -> None:
    """An actor's event says nothing about another actor's."""
    alice, bob = (
        await opened(store, new_session("alice")),
        await opened(store, new_session("bob")),
    )
    assert bob.previous == 0
    assert (await store.history("alice", 0)).events == [alice]
    assert (await store.history("bob", 0)).events == [bob]


async def test_what_is_refused_makes_no_event(store: Store) -> None:
    """A restore that fails and an end that ends nothing leave the history as it was."""
    new = new_session()
    await opened(store, new)
    [last] = await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    with suppress(SessionEnded):
        await store.restore("alice", new.digest)
    with suppress(NoSession):
        await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    assert (await store.history("alice", last.cursor)).events == []
    assert (await opened(store, new_session())).previous == last.cursor


async def test_history_is_read_from_any_cursor(store: Store) -> None:
    """All events after the cursor, and complete from the actor's first one on."""
    events = [await opened(store, new_session()) for _ in range(5)]
    for i, event in enumerate(events):
        history = await store.history("alice", event.cursor)
        assert (history.events, history.complete) == (events[i + 1 :], True)


async def test_an_actor_nobody_remembers_has_no_complete_history(store: Store) -> None:
    """A store that knows nothing of an actor does not say that nothing happened."""
    history = await store.history("nobody", 1_700_000_000_000 * 1024)
    assert (history.events, history.complete) == ([], False)


async def test_a_history_that_began_later_is_not_complete(store: Store) -> None:
    """A cursor from before the actor's first event is of a history that was lost."""
    event = await opened(store, new_session())
    history = await store.history("alice", event.cursor - 2**20)
    assert (history.events, history.complete) == ([event], False)


async def test_a_cursor_from_the_future_is_not_complete(store: Store) -> None:
    """A cursor beyond the newest event is of another history, as after a restored backup."""
    event = await opened(store, new_session())
    history = await store.history("alice", event.cursor + 1)
    assert (history.events, history.complete) == ([], False)


@pytest.mark.parametrize("retention", [Retention(history_events=5)])
async def test_a_history_has_a_length(store: Store) -> None:
    """Exactly `history_events` are kept; what says it is complete is."""
    events = [await opened(store, new_session()) for _ in range(8)]
    history = await store.history("alice", 0)
    assert (history.events, history.complete) == (events[3:], False)
    assert not (await store.history("alice", events[1].cursor)).complete
    history = await store.history("alice", events[2].cursor)
    assert (history.events, history.complete) == (events[3:], True)


@pytest.mark.parametrize("retention", [Retention(history_events=3)])
async def test_one_write_can_pass_the_length(store: Store) -> None:
    """Ending more sessions than the history has room for keeps the newest events."""
    for _ in range(7):
        await opened(store, new_session())
    events = await store.end("alice", None, LogoutScope.ALL, "revoked")
    assert_chained(events)
    history = await store.history("alice", events[3].cursor)
    assert (history.events, history.complete) == (events[4:], True)
    assert not (await store.history("alice", events[2].cursor)).complete


@pytest.mark.parametrize("retention", [Retention(history_ms=10 * MINUTE)])
async def test_a_history_ends_with_its_newest_event(installation: Installation) -> None:
    """It is kept whole for `history_ms` after the newest event, and then forgotten whole."""
    store, new = installation.store, new_session(ttl_ms=60 * MINUTE)
    events = [await opened(store, new)]
    installation.pass_time(9 * MINUTE)
    events.append(await store.change("alice", new.id, Changes(language="fr"), None))
    installation.pass_time(9 * MINUTE)
    assert (await store.history("alice", events[0].cursor)).events == events[1:]
    installation.pass_time(MINUTE)
    history = await store.history("alice", events[0].cursor)
    assert (history.events, history.complete) == ([], False)


@pytest.mark.parametrize("retention", [Retention(history_ms=10 * MINUTE)])
async def test_cursors_go_on_after_the_history(installation: Installation) -> None:
    """While the actor has a session, the next event still names the one before it."""
    store, new = installation.store, new_session(ttl_ms=60 * MINUTE)
    first = await opened(store, new)
    installation.pass_time(11 * MINUTE)
    history = await store.history("alice", first.cursor)
    assert (history.events, history.complete) == ([], True)
    second = await store.change("alice", new.id, Changes(language="fr"), None)
    assert second.previous == first.cursor
    history = await store.history("alice", first.cursor)
    assert (history.events, history.complete) == ([second], True)


async def test_cursors_grow_when_the_clock_falls_back(installation: Installation) -> None:
    """A store moved to a machine whose clock is behind still orders its events."""
    store = installation.store
    events = [await opened(store, new_session())]
    installation.pass_time(-5 * MINUTE)
    events += [await opened(store, new_session()) for _ in range(3)]
    assert_chained(events)
    history = await store.history("alice", events[0].cursor)
    assert (history.events, history.complete) == (events[1:], True)


async def test_an_event_is_announced_on_each_node(installation: Installation) -> None:
    """Where the actor has connections: once and in order, whichever node wrote it."""
    installation.listen("alice")
    a, b = new_session(), new_session()
    first, last = installation.nodes[0], installation.nodes[-1]
    events = [await opened(first, a), await opened(last, b)]
    events.append(await last.change("alice", a.id, Changes(language="fr"), None))
    events += await first.end("alice", b.id, LogoutScope.ALL, "loggedOut")
    events.append(await opened(first, new_session()))
    for listener in installation.heard:
        assert await heard(listener, len(events)) == events


async def test_only_the_listeners_actors_are_announced(installation: Installation) -> None:
    """The listener decides at any time, without telling the store, which those are."""
    store, listener = installation.store, installation.heard[0]
    installation.listen("bob")
    for i in range(20):
        listener.actors.add(f"alice-{i}")
        await opened(store, new_session("carol"))
        event = await opened(store, new_session(f"alice-{i}"))
        assert await listener.event() == event
        listener.actors.discard(f"alice-{i}")
        await opened(store, new_session(f"alice-{i}"))
        marker = await opened(store, new_session("bob"))
        assert await listener.event() == marker


async def test_concurrent_commands_have_one_order(installation: Installation) -> None:
    """A hundred commands on one actor from every node: one chain, the same for all."""
    nodes = installation.nodes
    installation.listen("alice")
    news = [new_session() for _ in range(100)]

    async def live(i: int) -> list[StoredEvent]:
        node, other, new = nodes[i % len(nodes)], nodes[(i + 1) % len(nodes)], news[i]
        events = [await opened(node, new)]
        with suppress(NoSession, SessionEnded):
            if i % 10 == 9:
                events += await other.end("alice", new.id, LogoutScope.ALL, "revoked")
            await other.restore("alice", new.digest)
            events.append(await other.change("alice", new.id, Changes(language="fr"), None))
        return events

    told = await asyncio.gather(*(live(i) for i in range(100)))
    events = sorted((event for some in told for event in some), key=lambda event: event.cursor)
    assert_chained(events)
    for listener in installation.heard:
        assert await heard(listener, len(events)) == events
    assert (await nodes[0].history("alice", events[-100].cursor)).events == events[-99:]

    # What is left is what the events tell.
    left: dict[str, SessionSet] = {}
    for event in events:
        if isinstance(event.change, SessionSet):
            left[event.change.record.id] = event.change
        elif isinstance(event.change, SessionUnset):
            del left[event.change.session_id]
    listed = await sessions_of(nodes[-1], "alice")
    assert {record.id: record for record in listed} == {
        id_: change.record for id_, change in left.items()
    }
