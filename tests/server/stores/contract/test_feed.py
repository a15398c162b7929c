"""
What every store promises about the feed: each creation, change and end, once, in order.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession
from keystay_server.stores.base import Store
from keystay_server.stores.errors import NoFeed
from keystay_server.stores.events import Emitted, FeedEntry, SessionSet, SessionUnset
from keystay_server.stores.position import Position
from keystay_server.stores.records import Changes, Policy
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import (
    EMPTY_MAP,
    SOON_S,
    Installation,
    new_session,
    opened,
)

ALL_OF_IT = 10_000
MINUTE = 60_000


async def now(store: Store) -> Position:
    """Where the feed ends, once it has been written up to here."""
    end = (await store.read_feed(None, 1)).position
    await opened(store, new_session("herald"))
    entries, position = await read(store, end, 1)
    assert [entry.actor_id for entry in entries] == ["herald"]
    return position


async def read(
    store: Store, after: Position, number: int, most: int = ALL_OF_IT
) -> tuple[list[FeedEntry], Position]:
    """Read on until so many entries have come; nothing before them may be lost."""
    entries: list[FeedEntry] = []
    async with asyncio.timeout(SOON_S):
        while len(entries) < number:
            page = await store.read_feed(after, most)
            assert page.is_complete
            assert len(page.entries) <= most
            entries += page.entries
            after = page.position
            if page.is_end:
                await asyncio.sleep(0.01)
    return entries, after


async def history_of(store: Store, actor_id: str) -> list[tuple[int, object]]:
    """What the actor's history says about sessions."""
    return [
        (event.cursor, event.change)
        for event in (await store.history(actor_id, 0)).events
        if not isinstance(event.change, Emitted)
    ]


def by_actor(entries: list[FeedEntry]) -> dict[str, list[tuple[int, object]]]:
    """Each actor's entries, in the order of the feed."""
    found: dict[str, list[tuple[int, object]]] = defaultdict(list)
    for entry in entries:
        found[entry.actor_id].append((entry.cursor, entry.change))
    return dict(found)


async def test_each_change_of_a_session_is_in_the_feed(installation: Installation) -> None:
    """Creations, changes, ends by logout and by policy; no restores, and no other events."""
    store = installation.store
    start = await now(store)
    first, second = new_session(), new_session()
    await opened(store, first)
    await store.create(second, Policy(limit=1))
    await store.restore("alice", second.digest)
    await store.emit("alice", Emitted(None, "app.said", EMPTY_MAP))
    await store.change("alice", second.id, Changes(language="fi"), None)
    await store.end("alice", second.id, LogoutScope.THIS, "loggedOut")
    for use in (store.restore("alice", first.digest), store.restore("bob", first.digest)):
        with suppress(Exception):
            await use
    entries, end = await read(store, start, 5)
    assert by_actor(entries) == {"alice": await history_of(store, "alice")}
    kinds = [type(entry.change) for entry in entries]
    assert kinds == [SessionSet, SessionUnset, SessionSet, SessionSet, SessionUnset]
    assert (await store.read_feed(end, 1)).entries == []


async def test_an_end_at_the_deadline_is_in_the_feed(installation: Installation) -> None:
    """Whichever node sees to it."""
    store = installation.store
    start = await now(store)
    news = [new_session(f"actor-{i}") for i in range(20)]
    await asyncio.gather(*map(store.create, news))
    installation.pass_time(MINUTE)
    await installation.end_what_is_due(*installation.nodes)
    entries, _ = await read(store, start, 41)
    told = by_actor(entries)
    del told["herald"]
    for new in news:
        assert told[new.actor_id][1][1] == SessionUnset(new.id, "expired")
    assert len(told) == len(news)


async def test_many_writers_on_every_node(installation: Installation) -> None:
    """100 at once, several to an actor: every event once, in the order of its actor."""
    store, nodes = installation.store, installation.nodes
    start = await now(store)

    async def live(number: int) -> None:
        node, new = nodes[number % len(nodes)], new_session(f"actor-{number % 30}")
        await opened(node, new)
        for turn in range(5):
            other = nodes[(number + turn) % len(nodes)]
            await other.change(new.actor_id, new.id, Changes(language="fi"), None)
            await node.emit(new.actor_id, Emitted(None, "app.said", EMPTY_MAP))
        await node.end(new.actor_id, new.id, LogoutScope.THIS, "loggedOut")

    await asyncio.gather(*map(live, range(100)))
    entries, end = await read(nodes[-1], start, 700)
    actors = {f"actor-{i}" for i in range(30)}
    assert by_actor(entries) == {actor: await history_of(store, actor) for actor in actors}
    again, _ = await read(store, start, 700, most=64)
    assert by_actor(again) == by_actor(entries)
    assert (await store.read_feed(end, 64)).entries == []


async def test_it_is_read_on_from_every_entry(installation: Installation) -> None:
    """Pages of one entry each are the feed, and each position leads to the rest."""
    store = installation.store
    start = await now(store)
    news = [new_session(f"actor-{i}") for i in range(10)]
    for new in news:
        await opened(store, new)
    whole, _ = await read(store, start, 10)
    position, singly = start, []
    for _ in range(10):
        page = await store.read_feed(position, 1)
        singly += page.entries
        position = page.position
    assert by_actor(singly) == by_actor(whole)
    assert len(singly) == 10


async def test_a_position_of_another_feed_is_lost(installation: Installation) -> None:
    """One from the future, one of another form: the page says that it is not complete."""
    store = installation.store
    end = await now(store)
    for position in (tuple(number + 2**40 for number in end), (*end, 0, 0)):
        page = await store.read_feed(position, ALL_OF_IT)
        assert not page.is_complete
        assert [entry.actor_id for entry in page.entries] == ["herald"]
        assert page.is_end
        assert page.position == end


@pytest.mark.parametrize("retention", [Retention(feed_events=64)])
async def test_the_feed_is_bounded_in_length(installation: Installation) -> None:
    """The newest entries are kept; who has not read the older ones is told."""
    store = installation.store
    start = await now(store)
    new = new_session()
    await opened(store, new)
    for _ in range(600):
        await store.change("alice", new.id, Changes(language="fi"), None)
    whole = await history_of(store, "alice")
    position, seen = start, list[FeedEntry]()
    async with asyncio.timeout(SOON_S):
        while not seen or seen[-1].cursor != whole[-1][0]:
            page = await store.read_feed(start, ALL_OF_IT)
            seen, position = page.entries, page.position
    assert not page.is_complete
    assert len(seen) < 400
    told = by_actor(seen)["alice"]
    assert told == whole[-len(told) :][-len(whole) :] or told[-len(whole) :] == whole
    assert (await store.read_feed(position, 1)).is_complete


@pytest.mark.parametrize("retention", [Retention(history_ms=60_000)])
async def test_the_feed_is_bounded_in_age(installation: Installation) -> None:
    """An entry is gone when it is older than the history, but not the place where it was."""
    store = installation.store
    start = await now(store)
    await opened(store, new_session("before"))
    _, end = await read(store, start, 1)
    installation.pass_time(2 * MINUTE)
    await opened(store, new_session("after"))
    entries, _ = await read(store, end, 1)
    assert [entry.actor_id for entry in entries] == ["after"]


@pytest.mark.parametrize("retention", [Retention(feed_events=0)])
async def test_no_feed_is_kept_where_none_is_wanted(installation: Installation) -> None:
    """Whoever asks for it is told; sessions do not mind."""
    store, new = installation.store, new_session()
    await opened(store, new)
    await store.restore("alice", new.digest)
    with pytest.raises(NoFeed):
        await store.read_feed(None, 1)
    with pytest.raises(NoSession):
        await store.restore("alice", new_session().digest)


async def test_one_node_has_a_lease(installation: Installation) -> None:
    """Until it runs out or is given back; whoever has it may make it longer."""
    one, other = installation.nodes[0], installation.nodes[-1]
    assert await one.lease("webhook", "one", 5_000)
    assert not await other.lease("webhook", "other", 5_000)
    assert await other.lease("another", "other", 5_000)
    installation.pass_time(4_000)
    assert await one.lease("webhook", "one", 5_000)
    installation.pass_time(4_000)
    assert not await other.lease("webhook", "other", 5_000)
    installation.pass_time(2_000)
    assert await other.lease("webhook", "other", 5_000)
    assert not await one.lease("webhook", "one", 5_000)
    assert await other.lease("webhook", "other", 0)
    assert await one.lease("webhook", "one", 5_000)


async def test_a_position_is_saved_by_whoever_has_the_lease(
    installation: Installation,
) -> None:
    """A node whose lease ran out changes nothing, even if nobody has taken over."""
    one, other = installation.nodes[0], installation.nodes[-1]
    assert await one.saved_position("webhook") is None
    assert not await one.save_position("webhook", "one", (1, 2))
    await one.lease("webhook", "one", 5_000)
    assert await one.save_position("webhook", "one", (1, 2))
    assert not await other.save_position("webhook", "other", (3, 4))
    assert await other.saved_position("webhook") == (1, 2)
    installation.pass_time(6_000)
    assert not await one.save_position("webhook", "one", (5, 6))
    await other.lease("webhook", "other", 5_000)
    assert not await one.save_position("webhook", "one", (5, 6))
    assert await other.save_position("webhook", "other", (3, 4))
    assert await one.saved_position("webhook") == (3, 4)
